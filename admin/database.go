package admin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
)

// Database is what the admin listener needs of the database as a whole.
type Database struct {
	// Backup returns a copy of one moment, which its reader may take any time to read.
	Backup func() (*os.File, error)
	// Check says what is damaged, and Compact what it won: objects for the answer.
	Check   func() (api.DatabaseReport, error)
	Compact func() (api.Compaction, error)
}

// ErrUnderWay says that what was asked for is being done already.
var ErrUnderWay = errors.New("one is under way already")

const (
	// maxBackups are sent at once: each takes the room of the database on the disk.
	maxBackups = 4
	// backupPatience is how long the next part of a backup may take to be read.
	backupPatience = time.Minute
)

// downloads are the backups that are being sent.
type downloads struct {
	mu    sync.Mutex            // protects what follows
	conns map[net.Conn]struct{} // nil once they have been ended
}

func (d *downloads) begin(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil || len(d.conns) >= maxBackups {
		return false
	}
	d.conns[c] = struct{}{}
	return true
}

func (d *downloads) end(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

// StopDownloads ends all backups that are being sent, and refuses further ones.
func (h *Handler) StopDownloads() {
	d := &h.downloads
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		c.SetWriteDeadline(time.Unix(1, 0))
	}
	d.conns = nil
}

// download is a backup on its way to a client who may read slowly, but has to read.
type download struct {
	*os.File
	conn  net.Conn
	among *downloads
}

// Read is called for each part once the one before it has been written.
func (d *download) Read(b []byte) (int, error) {
	d.among.mu.Lock()
	if d.among.conns == nil {
		d.among.mu.Unlock()
		return 0, net.ErrClosed
	}
	d.conn.SetWriteDeadline(time.Now().Add(backupPatience))
	d.among.mu.Unlock()
	return d.File.Read(b)
}

func (d *download) Close() error {
	d.among.end(d.conn)
	return d.File.Close()
}

// backup sends a copy of the database. It holds the hashes of all passwords: no browser
// is led here by a link or a form.
func (c *call) backup() error {
	header := &c.ctx.Request.Header
	mode, dest := string(header.Peek("Sec-Fetch-Mode")), string(header.Peek("Sec-Fetch-Dest"))
	if mode == "navigate" || mode == "no-cors" || mode == "websocket" || dest != "" && dest != "empty" {
		return failure(fasthttp.StatusForbidden, "A backup is not for a browser to open: ask for it with a program")
	}
	conn := c.ctx.Conn()
	if !c.downloads.begin(conn) {
		return failure(fasthttp.StatusTooManyRequests, "%d backups are being sent already", maxBackups)
	}
	file, err := c.Database.Backup()
	if err != nil {
		c.downloads.end(conn)
		return databaseFailure(err)
	}
	info, err := file.Stat()
	if err != nil {
		c.downloads.end(conn)
		file.Close()
		return err
	}
	name := "sidekey-" + time.Now().UTC().Format("20060102T150405Z") + ".db"
	answer := &c.ctx.Response
	answer.Header.SetContentType("application/octet-stream")
	answer.Header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s"`, name))
	answer.SetBodyStream(&download{File: file, conn: conn, among: &c.downloads}, int(info.Size()))
	return nil
}

func (c *call) checkDatabase() error {
	report, err := c.Database.Check()
	if err != nil {
		return databaseFailure(err)
	}
	c.send(fasthttp.StatusOK, report)
	return nil
}

func (c *call) compact() error {
	done, err := c.Database.Compact()
	if err != nil {
		return databaseFailure(err)
	}
	c.send(fasthttp.StatusOK, done)
	return nil
}

// databaseFailure makes an error one that the caller is told, where it is for the caller
// to do something about it.
func databaseFailure(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return failure(fasthttp.StatusInsufficientStorage, "The disk has no room for a copy of the database; nothing was changed")
	case errors.Is(err, ErrUnderWay):
		return failure(fasthttp.StatusConflict, "This is under way already")
	}
	return err
}
