package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/valyala/fasthttp/fasthttputil"

	"sidekey/admin"
	"sidekey/auth"
	"sidekey/command"
	"sidekey/config"
	"sidekey/store/bolt/boltfile"
)

// openOffline opens the database for commands, and serves the admin API to this process
// alone: over memory, with a secret that is drawn for it.
func openOffline(cfg config.Config, create bool, log *slog.Logger) (*command.Offline, error) {
	if _, err := os.Stat(databasePath(cfg)); errors.Is(err, fs.ErrNotExist) && !create {
		return nil, err
	}
	cfg.Log.Decisions, cfg.Events.WebhookURL = "none", "" // nobody is to hear of it
	p, err := openProgram("", cfg, log)
	if errors.Is(err, boltfile.ErrInUse) {
		err = fmt.Errorf("%w: without -offline, that process is asked", err)
	}
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	secret := rand.Text()
	listener := fasthttputil.NewInmemoryListener()
	server := admin.NewServer(p.adminHandler([]string{secret}))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return &command.Offline{
		Dial:    listener.Dial,
		Secret:  secret,
		Records: p.records,
		Close: func() error {
			listener.Close()
			return errors.Join(<-served, p.stop())
		},
	}, nil
}

// records returns up to n records after one, hashes included. One that is damaged is
// marked as such, one that is gone since its name was read is left out.
func (p *program) records(after auth.Name, n int) ([]auth.Record, error) {
	names, err := p.store.Names(after, n)
	if err != nil {
		return nil, err
	}
	records := make([]auth.Record, 0, len(names))
	for _, name := range names {
		r, _, err := p.store.Load(name.Org, name.User)
		switch {
		case errors.Is(err, auth.ErrNoUser):
			continue
		case errors.Is(err, auth.ErrDamaged):
			r = auth.Record{Org: name.Org, User: name.User, Damaged: true}
		case err != nil:
			return nil, fmt.Errorf("user %q: %w", name.User, err)
		}
		records = append(records, r)
	}
	return records, nil
}

// startHere brings up both listeners for a command.
func startHere(cfg config.Config, log *slog.Logger) (*command.Running, error) {
	p, err := startProgram("", cfg, log)
	if err != nil {
		return nil, err
	}
	secrets, _, err := admin.LoadSecrets(cfg.SecretPath())
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return &command.Running{
		Check:  p.servers[0].listener.Addr().String(),
		Admin:  p.servers[1].listener.Addr().String(),
		Secret: secrets[0],
		Wait:   func(stop context.Context) error { return p.wait(stop, nil) },
		Stop:   p.stop,
	}, nil
}
