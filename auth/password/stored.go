package password

import (
	"regexp"
	"strings"
)

// boundedBcrypt matches the bcrypt hashes that passwords are compared with. Each step of the cost
// doubles the time: one comparison at cost 31 takes about 40 hours.
var boundedBcrypt = regexp.MustCompile(`^\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$`)

// usable reports whether a stored hash can be read, and compared with in bounded time and memory. A
// hash that cannot, imported or written by another program, matches no password and costs as much as
// an unknown user.
func usable(stored string) bool {
	switch {
	case strings.HasPrefix(stored, ArgonPrefix):
		_, ok := parseArgon(stored)
		return ok
	case strings.HasPrefix(stored, "$2"):
		return boundedBcrypt.MatchString(stored)
	}
	return stored != ""
}
