package command

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"sidekey/admin/api"
	"sidekey/internal/proof"
)

// proofTimeout bounds the time from a connection to its proof.
const proofTimeout = 10 * time.Second

// maxProof is the maximum size of the answer with the proof, in bytes.
const maxProof = 16 << 10

// prover proves that a connection leads to sidekey. While sidekey is not running, another user of the
// machine can listen on its port, and must not get the secret. Every connection is proved, not only
// the first one, because the listener may change between two.
type prover struct {
	key  func() proof.Key // derived from the secret; nil: no secret will be sent
	host string           // the Host header
	// atItsAddress requires that the listener's own address is the one that was dialled. It is another
	// one behind a forwarded port, which the user must name with -admin.
	atItsAddress bool
	owners       []int // user ids that may listen on a unix socket; nil: any
}

func newProver(secret, host string) prover {
	if secret == "" {
		return prover{}
	}
	return prover{key: sync.OnceValue(func() proof.Key { return proof.NewKey(secret) }), host: host}
}

// unprovenError means that a listener is not known to be sidekey's, so the secret was not sent.
type unprovenError struct{ reason string }

func (e unprovenError) Error() string { return e.reason + "; the secret was not sent" }

// prove returns the connection, with TLS unless secured is nil, after it is proved to lead to sidekey.
// It closes a connection that does not.
func (p prover) prove(ctx context.Context, conn net.Conn, secured *tls.Config) (_ net.Conn, err error) {
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	if err := conn.SetDeadline(time.Now().Add(proofTimeout)); err != nil {
		return nil, err
	}
	if err := p.checkOwner(conn); err != nil {
		return nil, err
	}
	if secured != nil {
		session := tls.Client(conn, secured)
		if err := session.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = session
	}
	if p.key != nil {
		if err := p.ask(conn); err != nil {
			return nil, err
		}
	}
	return conn, conn.SetDeadline(time.Time{})
}

// checkOwner returns an error if the process that listens on a unix socket does not run as one of the
// owners.
func (p prover) checkOwner(conn net.Conn) error {
	if p.key == nil || p.owners == nil {
		return nil
	}
	if uid, known := peerUser(conn); known && !slices.Contains(p.owners, uid) {
		return unprovenError{fmt.Sprintf("%[2]s is a socket of user %[1]d, not of root, the caller or the owner of data_dir", uid, conn.RemoteAddr())}
	}
	return nil
}

// ask requests a proof that the listener knows the secret, and verifies it.
func (p prover) ask(conn net.Conn) error {
	nonce := proof.NewNonce()
	request, err := http.NewRequest(http.MethodGet, "http://localhost"+proof.Path+"/"+nonce, nil)
	if err != nil {
		return err
	}
	request.Host = p.host
	if err := request.Write(conn); err != nil {
		return err
	}
	where := conn.RemoteAddr().String()
	read := bufio.NewReader(io.LimitReader(conn, maxProof))
	response, err := http.ReadResponse(read, request)
	var network net.Error
	switch {
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case err != nil:
		return unprovenError{"the listener at " + where + " does not speak HTTP"}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return unprovenError{fmt.Sprintf("the listener at %s does not prove that it knows the admin secret (it answered %d): it is not sidekey, an older version, or does not accept Host %q", where, response.StatusCode, p.host)}
	}
	var answer api.Proof
	if json.Unmarshal(body, &answer) != nil || len(answer.Proofs) == 0 || response.Close || read.Buffered() > 0 {
		return unprovenError{"the listener at " + where + " gives no proof that it knows the admin secret: it is not sidekey"}
	}
	key := p.key()
	known := slices.ContainsFunc(answer.Proofs, func(text string) bool { return key.IsProof(text, nonce, p.host, answer.Address) })
	switch {
	case !known:
		return unprovenError{"the listener at " + where + " does not know this admin secret: it is another program, or has another secret"}
	case p.atItsAddress && conn.RemoteAddr().Network() != "unix" && answer.Address != where:
		return unprovenError{fmt.Sprintf("the listener at %s passes requests on to a sidekey at %s: name a forwarded port with -admin", where, answer.Address)}
	}
	return nil
}
