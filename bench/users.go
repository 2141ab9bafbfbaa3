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

// One user asks in the rows of a single one: she has a password as they are, stored as
// bcrypt. Those that stand for many have one of {SHA}, so that each is remembered after a
// few microseconds. It is longer than bcrypt takes, or the first login would replace the
// hash by bcrypt's, and takes as many blocks of SHA-256 to recognise as the short one.
const (
	oneUser      = "user00000000"
	userPassword = "correct horse battery staple"
	manyPassword = userPassword + " " + userPassword + " correct horse b"
	manyHash     = "{SHA}7DnB9ewFYbmzI3bioXEwM0uMLrU="
)

// userName is that of one of many, 0 to n-1.
func userName(i int) string { return fmt.Sprintf("user%08d", i+1) }

// login is the header of a user's request.
func login(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// benchSession is a usual one, with limits that nobody reaches.
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

// fill makes a database of n users with a session, and of oneUser and one of each shape.
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

// requests are those of the first n users, as Envoy would send them.
func requests(n int) (list [][]byte) {
	for i := range n {
		list = append(list, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s\r\n\r\n",
			envoyPath, login(userName(i), manyPassword), forwardedFor))
	}
	return list
}

// inTurn is the order of n users one after the other.
func inTurn(n int) (order []uint32) {
	for i := range n {
		order = append(order, uint32(i))
	}
	return order
}

// drawn is how many users are drawn before a generator begins again.
const drawn = 1 << 20

// draw returns count of n users, drawn by a law: "uniform", each as often as any other, or
// "zipf", the second half as often as the first, the third a third. It is the same at
// each call.
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
