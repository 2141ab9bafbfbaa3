package server

import (
	"log/slog"
	"slices"
	"sync"

	"sidekey/auth/session"
	"sidekey/internal/vault"
)

// secrets opens the secrets of signed requests and remembers those that it could not open: their
// users are refused, and an operator must learn why.
type secrets struct {
	key *vault.Key
	log *slog.Logger

	mu     sync.Mutex // protects closed
	closed map[session.Name]bool
}

func newSecrets(key *vault.Key, log *slog.Logger) *secrets {
	return &secrets{key: key, log: log, closed: make(map[session.Name]bool)}
}

// maxClosed bounds the users that are remembered: all of them may be concerned.
const maxClosed = 100

// open is [auth.Compiler.OpenSecret].
func (s *secrets) open(n session.Name, sealed string) (secret string, err error) {
	secret, err = s.key.Open(n.Org, n.User, sealed)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		delete(s.closed, n)
	case !s.closed[n] && len(s.closed) < maxClosed:
		s.closed[n] = true
		s.log.Error("cannot open the secret of a user's signed requests: the user is refused until hmac.key is restored or the user is written again",
			"org", n.Org, "user", n.User, "error", err)
	}
	return secret, err
}

// forget forgets that a user's secret could not be opened. Call it when the user is written or
// deleted: the next check opens the secret again.
func (s *secrets) forget(n session.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.closed, n)
}

// unreadable returns the users whose secrets could not be opened, as ORG/USER.
func (s *secrets) unreadable() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.closed {
		names = append(names, n.Org+"/"+n.User)
	}
	slices.Sort(names)
	return names
}
