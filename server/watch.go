package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watchFile makes Wait reload the configuration when its file changes.
func (s *Server) watchFile() {
	w, err := watch(s.path)
	if err != nil {
		s.log.Warn("cannot watch the configuration file; SIGHUP still reloads it", "error", err)
		return
	}
	s.changed = w.changed
	s.stops.add("watching the configuration file", func(context.Context) error { return w.notify.Close() })
}

// watcher notices changes of a file's content.
type watcher struct {
	notify  *fsnotify.Watcher
	changed chan struct{} // holds one token
}

// pauseAfterChange lets an editor finish: many write a file in several steps.
const pauseAfterChange = 200 * time.Millisecond

// watch watches the folder of a file, because editors and Kubernetes replace the file.
func watch(path string) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := notify.Add(filepath.Dir(path)); err != nil {
		notify.Close()
		return nil, fmt.Errorf("watch %s: %w", filepath.Dir(path), err)
	}
	w := &watcher{notify: notify, changed: make(chan struct{}, 1)}
	go w.run(path)
	return w, nil
}

func (w *watcher) run(path string) {
	last, _ := os.ReadFile(path)
	timer := time.NewTimer(0)
	<-timer.C
	waiting := false
	for {
		select {
		case _, open := <-w.notify.Events:
			if !open {
				return
			}
			// Do not reset a running timer: in a folder that changes all the time it would
			// never end.
			if !waiting {
				waiting = true
				timer.Reset(pauseAfterChange)
			}
		case _, open := <-w.notify.Errors:
			if !open {
				return
			}
		case <-timer.C:
			waiting = false
			// Most events in the folder are about other files, such as the database.
			text, err := os.ReadFile(path)
			if err == nil && string(text) == string(last) {
				continue
			}
			last = text
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}
	}
}
