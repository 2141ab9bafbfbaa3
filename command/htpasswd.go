package command

import (
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"sidekey/admin/api"
	"sidekey/auth/password"
)

func readHtpasswd(_ *cobra.Command, text []byte) (*dump, error) {
	return parseHtpasswd(string(text)), nil
}

// parseHtpasswd parses an htpasswd file as Apache and NGINX do. Each line is NAME:HASH. The text after
// another colon is a comment, and so is a line that begins with #.
func parseHtpasswd(text string) *dump {
	d := new(dump)
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		name, rest, found := strings.Cut(line, ":")
		if !found {
			d.refuse(number, "", "must be NAME:HASH, but has no colon")
			continue
		}
		if !utf8.ValidString(name) {
			d.refuse(number, "", "the name must be UTF-8: convert the file, for example with iconv -f latin1 -t utf8")
			continue
		}
		hash, _, _ := strings.Cut(rest, ":")
		if _, err := password.HashKind(hash); err != nil {
			d.refuse(number, name, "%v", err)
			continue
		}
		d.users = append(d.users, incoming{
			Import: api.Import{Username: name, Hash: hash},
			line:   number,
		})
	}
	return d
}
