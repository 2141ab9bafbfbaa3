package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"sidekey/auth/httpsig"
	"sidekey/config"
	"sidekey/internal/durable"
)

// startSpent loads the memory of used signatures. Stop hands it over to the next run. first says
// that no earlier run had users who sign.
func (s *Server) startSpent(cfg config.Config, first bool) (err error) {
	path := cfg.SpentPath()
	if s.spent, err = loadSpent(path, cfg.Check.HMACRemembered, first, s.log); err != nil {
		return fmt.Errorf("memory of used signatures: %w", err)
	}
	s.stops.addPatient("memory of used signatures", func(context.Context) error { return saveSpent(path, s.spent) })
	return nil
}

// loadSpent returns the memory of used signatures that the last run handed over. If that run
// handed over nothing, because it crashed, signatures dated before now are refused: any of them
// could be a replay.
//
// The file is good for one start, so loadSpent removes the file: otherwise a start
// after a crash would believe it too.
func loadSpent(path string, maxRemembered int, first bool, log *slog.Logger) (*httpsig.Spent, error) {
	spent := httpsig.NewSpent(maxRemembered)
	data, err := os.ReadFile(path)
	if err == nil {
		if err := errors.Join(os.Remove(path), durable.SyncDir(filepath.Dir(path))); err != nil {
			return nil, err
		}
		err = spent.TakeOver(data)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil && !first {
		log.Info("the last run did not hand over which signatures are used up: refusing those dated before now", "error", err)
		spent.RefuseBefore(time.Now().Unix() + 1) // dates are whole seconds
	}
	return spent, nil
}

// saveSpent hands the memory of used signatures over to the next run.
func saveSpent(path string, spent *httpsig.Spent) error {
	data, err := spent.HandOver()
	if err != nil {
		return err
	}
	return durable.WriteFile(path, data)
}
