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

// Database holds the operations on the database as a whole.
type Database struct {
	// Backup returns a file with a consistent copy of the database. The caller closes it, and may
	// read it as slowly as it likes.
	Backup func() (*os.File, error)
	// Check verifies every record.
	Check func() (api.DatabaseReport, error)
	// Compact gives unused space back to the disk. It returns [ErrUnderWay] if another compaction
	// has not finished.
	Compact func() (api.Compaction, error)
}

// ErrUnderWay means that the same operation is running already.
var ErrUnderWay = errors.New("already under way")

const (
	// maxBackups bounds the backups that are sent at once. Each takes as much disk space as the
	// database.
	maxBackups = 4
	// backupPatience is how long a client may take to read the next part of a backup.
	backupPatience = time.Minute
)

// downloads holds the connections on which backups are being sent.
type downloads struct {
	mu    sync.Mutex            // protects conns
	conns map[net.Conn]struct{} // nil after StopDownloads
}

// begin adds a connection. It reports whether there is room for another backup.
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

// StopDownloads aborts the backups that are being sent and refuses new ones.
func (h *Handler) StopDownloads() {
	d := &h.downloads
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		c.SetWriteDeadline(time.Unix(1, 0))
	}
	d.conns = nil
}

// download is a backup that is being sent. Its client may read slowly, but must not stop reading.
type download struct {
	*os.File
	conn  net.Conn
	among *downloads
}

// Read returns the next part. The server calls it after it has sent the previous one.
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

// backup sends a copy of the database. The copy contains the hashes of all passwords, so requests
// that a link or a form can cause in a browser are refused.
func (c *call) backup() error {
	header := &c.ctx.Request.Header
	mode, dest := string(header.Peek("Sec-Fetch-Mode")), string(header.Peek("Sec-Fetch-Dest"))
	if mode == "navigate" || mode == "no-cors" || mode == "websocket" || dest != "" && dest != "empty" {
		return failure(fasthttp.StatusForbidden, "A backup must not be opened in a browser: use a program")
	}
	conn := c.ctx.Conn()
	if !c.downloads.begin(conn) {
		return failure(fasthttp.StatusTooManyRequests, "Already sending %d backups", maxBackups)
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

// databaseFailure turns an error that the caller can do something about into one that the caller
// sees.
func databaseFailure(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return failure(fasthttp.StatusInsufficientStorage, "The disk has no room for a copy of the database; nothing was changed")
	case errors.Is(err, ErrUnderWay):
		return failure(fasthttp.StatusConflict, "Already under way")
	}
	return err
}
