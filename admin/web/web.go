// Package web holds the files of the web page: plain HTML, CSS and JavaScript as
// browsers read them, in the binary. They hold no data: api.js asks for it. openapi.json,
// the description of the admin API, is written by hand; reference.js shows it.
package web

import (
	"embed"
	"io/fs"
	"path"
)

//go:embed *.html *.css *.js *.svg openapi.json
var embedded embed.FS

// File is one file as it is served.
type File struct {
	Type string // Content-Type
	Body []byte // must not be changed
}

// Files are all of them by the path that a browser asks for. index.html is at "/",
// openapi.json at "/openapi.json".
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
