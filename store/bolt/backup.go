package bolt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/bbolt"

	"sidekey/store/bolt/boltfile"
)

// Backup returns a copy of the database as it stands at one moment, open at its start.
//
// The copy is made at the speed of the disk, because pages that a reader can see are not
// used again. It is a file of its own, so a client that reads it slowly delays no one. It is
// written out a little at a time, because commits wait for the same disk. It has no name, so
// it disappears when it is closed or the process ends.
func (s *Store) Backup() (_ *os.File, err error) {
	temp, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".backup-*")
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	defer func() {
		if err != nil {
			temp.Close()
			err = fmt.Errorf("backup: %w", err)
		}
	}()
	if err := os.Remove(temp.Name()); err != nil {
		return nil, err
	}
	s.copying.Lock() // one after the other takes no longer
	defer s.copying.Unlock()
	err = s.view(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(&paced{file: temp})
		return err
	})
	if err != nil {
		return nil, err
	}
	_, err = temp.Seek(0, 0)
	return temp, err
}

// paced writes a file out as it grows. Otherwise the kernel would collect all of it and then
// write it at once.
type paced struct {
	file  *os.File
	dirty int
}

const maxDirty = 256 << 10 // bytes

func (p *paced) Write(b []byte) (n int, err error) {
	n, err = p.file.Write(b)
	p.dirty += n
	if err == nil && p.dirty >= maxDirty {
		p.dirty = 0
		err = writeOut(p.file)
	}
	return n, err
}

// BackupFile writes a copy of the database at path, which no process may have open for
// writing, else it returns [boltfile.ErrInUse].
func BackupFile(path string, to io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := boltfile.Lock(f, syscall.LOCK_SH); err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	_, err = io.Copy(to, f)
	return err
}

// Check verifies a copy of the database as it stands at one moment. Users whose records are
// damaged are named by [Store.Damaged] from then on.
func (s *Store) Check() (report boltfile.Report, err error) {
	file, err := s.Backup()
	if err != nil {
		return boltfile.Report{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return boltfile.Report{}, err
	}
	if report, err = boltfile.VerifyFile(file, info.Size()); err != nil {
		return boltfile.Report{}, err
	}
	s.NoteDamage(report)
	return report, nil
}
