package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"sidekey/auth/httpsig"
	"sidekey/secretfile"
)

// loadSpent returns the memory of used signatures, out of what the last run handed over.
// first says that no run has had users who sign. Where a run has not handed over what it
// remembered, because it crashed, signatures dated before now are refused: any of them
// could be a replay.
//
// What was handed over is good for one start. A file that stayed would be believed after a
// crash, too.
func loadSpent(path string, most int, first bool, log *slog.Logger) (*httpsig.Spent, error) {
	spent := httpsig.NewSpent(most)
	data, err := os.ReadFile(path)
	if err == nil {
		if err := errors.Join(os.Remove(path), secretfile.SyncDir(filepath.Dir(path))); err != nil {
			return nil, err
		}
		err = spent.TakeOver(data)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil && !first {
		log.Info("the last run has not handed over which signatures are used up: those dated before now are refused", "error", err)
		spent.RefuseBefore(time.Now().Unix() + 1) // dates are whole seconds
	}
	return spent, nil
}

// saveSpent hands what is remembered over to the next run.
func saveSpent(path string, spent *httpsig.Spent) error {
	data, err := spent.HandOver()
	if err != nil {
		return err
	}
	// Under another name first: a part of the file must not be taken for all of it.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
