//go:build linux

package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/crypto/bcrypt"

	"sidekey/auth/session"
	"sidekey/store/bolt"
)

// Rows with one user use oneUser, whose password is stored as bcrypt. Rows with many users store
// manyPassword as {SHA}, so that the first login of each takes only microseconds. manyPassword is
// longer than bcrypt allows, because otherwise the first login would replace the hash by bcrypt's.
// It takes as many blocks of SHA-256 to recognise as the short password.
const (
	oneUser      = "user00000000"
	userPassword = "correct horse battery staple"
	manyPassword = userPassword + " " + userPassword + " correct horse b"
	manyHash     = "{SHA}7DnB9ewFYbmzI3bioXEwM0uMLrU="
)

// userName returns the name of user i, counted from 0.
func userName(i int) string { return fmt.Sprintf("user%08d", i+1) }

// login returns the Authorization header of a user's request.
func login(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// benchSession is a typical session, with limits that no benchmark reaches.
var benchSession = session.Session{
	OrgID: "default", Alias: "Benchmark User", Tags: []string{"edge", "edge-eu"},
	Rate: 100_000_000, Per: 60,
	QuotaMax: 1_000_000_000_000, QuotaRenewalRate: 86_400,
	AccessRights: map[string]session.Right{
		"orders":  {APIID: "orders", Versions: []string{"Default"}},
		"default": {APIID: "default", Versions: []string{"Default"}},
	},
	BasicAuth: session.BasicAuth{Password: manyHash, HashType: "sha1"},
}

// fill makes a database with n users who have a session, with oneUser, and with a user of each shape.
func fill(ctx context.Context, dir string, n int, sess session.Session) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	s, err := bolt.Open(filepath.Join(dir, "sidekey.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() {
		if closed := s.Close(); err == nil {
			err = closed
		}
	}()
	hash, err := bcrypt.GenerateFromPassword([]byte(userPassword), bcryptCost)
	if err != nil {
		return err
	}
	for _, shape := range append([]shape{{oneUser, "", func(*session.Session) {}}}, shapes...) {
		sess := sess
		sess.BasicAuth = session.BasicAuth{Password: string(hash), HashType: "bcrypt"}
		sess.AccessRights = maps.Clone(sess.AccessRights)
		shape.change(&sess)
		if _, err := s.Update("default", shape.user, func(*session.Record) (*session.Record, error) {
			return &session.Record{Org: "default", User: shape.user, Session: sess}, nil
		}); err != nil {
			return err
		}
	}
	const batch = 5000
	for first := 0; first < n; first += batch {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var names []session.Name
		for i := first; i < min(first+batch, n); i++ {
			names = append(names, session.Name{Org: "default", User: userName(i)})
		}
		if err := s.UpdateMany(names, func(i int, _ *session.Record) (*session.Record, error) {
			return &session.Record{Org: "default", User: names[i].User, Session: sess}, nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// requests returns a request for each of the first n users, as Envoy would send them.
func requests(n int) (list [][]byte) {
	for i := range n {
		list = append(list, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s\r\n\r\n",
			envoyPath, login(userName(i), manyPassword), forwardedFor))
	}
	return list
}

// inTurn returns the order of n users one after the other.
func inTurn(n int) (order []uint32) {
	for i := range n {
		order = append(order, uint32(i))
	}
	return order
}

// drawn is the number of users to draw before a generator starts from the beginning.
const drawn = 1 << 20

// draw returns count indexes of n users, drawn by a law. With "uniform", all users are equally
// frequent. With "zipf", user i is 1/(i+1) as frequent as user 0. The result is the same for each
// call.
func draw(law string, n, count int) (order []uint32) {
	random := rand.New(rand.NewPCG(1, 2))
	next := func() uint64 { return random.Uint64N(uint64(n)) }
	if law == "zipf" {
		next = rand.NewZipf(random, 1.001, 1, uint64(n-1)).Uint64
	}
	for range count {
		order = append(order, uint32(next()))
	}
	return order
}
