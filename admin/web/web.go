// Package web holds the files of the web page: plain HTML, CSS and JavaScript, embedded in the
// binary without a build step. They contain no data; api.js requests it. openapi.json describes
// the admin API. It is written by hand, and reference.js shows it.
package web

import (
	"embed"
	"io/fs"
	"path"
)

//go:embed *.html *.css *.js *.svg openapi.json
var embedded embed.FS

// File is a file of the page and its media type.
type File struct {
	Type string // Content-Type
	Body []byte // must not be changed
}

// Files holds all files by the path that a browser requests. index.html is at "/",
// openapi.json at "/openapi.json", and all others below "/page/".
var Files = load()

var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".json": "application/json",
}

func load() map[string]File {
	files := make(map[string]File)
	names, err := fs.Glob(embedded, "*")
	if err != nil {
		panic("BUG: the page's files: " + err.Error())
	}
	for _, name := range names {
		body, err := embedded.ReadFile(name)
		if err != nil {
			panic("BUG: the page's files: " + err.Error())
		}
		at := "/page/" + name
		switch name {
		case "index.html":
			at = "/"
		case "openapi.json":
			at = "/" + name
		}
		files[at] = File{types[path.Ext(name)], body}
	}
	return files
}
