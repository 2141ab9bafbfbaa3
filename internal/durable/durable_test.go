package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create begins a file with this text.
func create(t *testing.T, path, text string) *File {
	t.Helper()
	f, err := Create(path, ".new-")
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	return f
}

// has compares the files of a folder, as name and text in turn.
func has(t *testing.T, when, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range entries {
		text, _ := os.ReadFile(filepath.Join(dir, e.Name()))
		got = append(got, e.Name(), string(text))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: the folder has %q, want %q", when, got, want)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")

	f := create(t, path, "first")
	must(t, f.Link())
	f.Discard()
	has(t, "linked", dir, "key", "first")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	f = create(t, path, "second")
	if err := f.Link(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("linked in place of a file: %v", err)
	}
	f.Discard()
	has(t, "not linked", dir, "key", "first")

	f = create(t, path, "third")
	must(t, f.Finish())
	if text, err := os.ReadFile(f.Name()); err != nil || string(text) != "third" {
		t.Errorf("finished: %q, %v", text, err)
	}
	must(t, f.Replace())
	f.Discard()
	has(t, "replaced", dir, "key", "third")

	create(t, path, "fourth").Discard()
	must(t, WriteFile(path, []byte("fifth")))
	has(t, "discarded and written", dir, "key", "fifth")
}

// A file that cannot be put in place leaves nothing behind, and the previous file stays.
func TestFailure(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	must(t, os.Mkdir(path, 0o700))
	if err := WriteFile(path, []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	has(t, "a folder is there", dir, "key", "")

	must(t, os.Remove(path))
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	f := create(t, path, "new")
	must(t, f.File.Close()) // the sync fails
	if err := f.Replace(); err == nil {
		t.Error("a file that could not be synced got its name")
	}
	f.Discard()
	has(t, "the sync failed", dir, "key", "old")

	if _, err := Create(filepath.Join(dir, "none", "key"), "."); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that does not exist: %v", err)
	}
}

func TestMkdirAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	must(t, MkdirAll(dir))
	must(t, MkdirAll(dir))
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	if err := MkdirAll(filepath.Join(dir, "file", "c")); err == nil {
		t.Error("a folder was made in a file")
	}
}
