package main

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"sidekey/auth"
	"sidekey/store"
)

const password = "correct horse battery staple"

func userName(i int) string { return fmt.Sprintf("user%08d", i) }

// fill makes a database of n users, who share a hash: computing one for each would
// take hours and change nothing of what is measured.
func fill(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	s, err := store.Open(filepath.Join(dir, "sidekey.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer s.Close()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 8)
	if err != nil {
		return err
	}
	session := auth.Session{
		OrgID: "default", Alias: "Benchmark User", Tags: []string{"edge", "edge-eu"},
		Rate: 100_000_000, Per: 60,
		QuotaMax: 1_000_000_000_000, QuotaRenewalRate: 86_400,
		AccessRights: map[string]auth.Right{
			"orders":  {APIID: "orders", Versions: []string{"Default"}},
			"default": {APIID: "default", Versions: []string{"Default"}},
		},
		BasicAuth: auth.BasicAuth{Password: string(hash), HashType: "bcrypt"},
	}
	for _, shape := range shapes {
		changed := session
		changed.AccessRights = maps.Clone(session.AccessRights)
		shape.change(&changed)
		if _, err := s.Update("default", shape.user, func(*auth.Record) (*auth.Record, error) {
			return &auth.Record{Org: "default", User: shape.user, Session: changed}, nil
		}); err != nil {
			return err
		}
	}
	// As many writers as make each commit carry a good load.
	const writers = 1024
	names := make(chan string)
	failed := make(chan error, writers)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for name := range names {
				_, err := s.Update("default", name, func(*auth.Record) (*auth.Record, error) {
					return &auth.Record{Org: "default", User: name, Session: session}, nil
				})
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for i := range n {
		select {
		case names <- userName(i + 1):
		case err := <-failed:
			close(names)
			return err
		}
	}
	close(names)
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
