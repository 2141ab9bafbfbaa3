package command

import (
	"bytes"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"sidekey/auth"
)

func readHtpasswd(_ *cobra.Command, text []byte) (*dump, error) { return parseHtpasswd(text), nil }

// parseHtpasswd reads an htpasswd file as Apache and NGINX do: NAME:HASH a line, what is
// behind another colon is a comment, and so is a line that begins with #.
func parseHtpasswd(text []byte) *dump {
	d := new(dump)
	number := 0
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		number++
		line = bytes.TrimRight(line, "\r\n")
		if trimmed := bytes.TrimSpace(line); len(trimmed) == 0 || trimmed[0] == '#' {
			continue
		}
		name, rest, found := bytes.Cut(line, []byte(":"))
		if !found {
			d.refuse(number, "", "NAME:HASH is wanted, there is no colon")
			continue
		}
		if !utf8.Valid(name) {
			d.refuse(number, "", "a name in UTF-8 is wanted: convert the file, as with iconv -f latin1 -t utf8")
			continue
		}
		hash, _, _ := bytes.Cut(rest, []byte(":"))
		if _, err := auth.HashKind(string(hash)); err != nil {
			d.refuse(number, string(name), "%v", err)
			continue
		}
		d.users = append(d.users, incoming{
			Import: auth.Import{Username: string(name), Hash: string(hash)},
			line:   number,
		})
	}
	return d
}
