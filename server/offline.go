package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"

	"github.com/valyala/fasthttp/fasthttputil"

	"sidekey/admin"
	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/config"
	"sidekey/store/bolt/boltfile"
)

// Offline is an open database with the admin API over it, without a listener.
type Offline struct {
	// Dial connects to the admin API, which accepts Secret.
	Dial   func() (net.Conn, error)
	Secret string
	// Records returns up to n records after a name, in order, with their hashes. It marks
	// damaged ones.
	Records func(after session.Name, n int) ([]session.Record, error)
	Close   func() error
}

// Open opens the database for commands, and serves the admin API to this process alone: over
// memory, with a random secret. If there is no database, Open creates one if create is set, and
// else returns an error that is [fs.ErrNotExist].
func Open(cfg config.Config, create bool, log *slog.Logger) (*Offline, error) {
	if _, err := os.Stat(databasePath(cfg)); errors.Is(err, fs.ErrNotExist) && !create {
		return nil, err
	}
	cfg.Log.Decisions, cfg.Events.WebhookURL = "none", "" // a command decides nothing and notifies no one
	s, err := open("", cfg, log)
	if errors.Is(err, boltfile.ErrInUse) {
		err = fmt.Errorf("%w: without -offline, the command asks that process", err)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	secret := rand.Text()
	listener := fasthttputil.NewInmemoryListener()
	server := admin.NewServer(s.adminHandler([]string{secret}))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return &Offline{
		Dial:    listener.Dial,
		Secret:  secret,
		Records: s.records,
		Close: func() error {
			listener.Close()
			return errors.Join(<-served, s.Stop())
		},
	}, nil
}

// records is [Offline.Records]. It leaves out records that were deleted after it read their names.
func (s *Server) records(after session.Name, n int) ([]session.Record, error) {
	names, err := s.store.Names(after, n)
	if err != nil {
		return nil, err
	}
	records := make([]session.Record, 0, len(names))
	for _, name := range names {
		r, _, err := s.store.Load(name.Org, name.User)
		switch {
		case errors.Is(err, auth.ErrNoUser):
			continue
		case errors.Is(err, auth.ErrDamaged):
			r = session.Record{Org: name.Org, User: name.User, Damaged: true}
		case err != nil:
			return nil, fmt.Errorf("user %q: %w", name.User, err)
		}
		records = append(records, r)
	}
	return records, nil
}
