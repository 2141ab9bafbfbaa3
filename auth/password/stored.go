package password

import (
	"regexp"
	"strings"
)

// boundedBcrypt matches the bcrypt hashes that are compared with: each step of the cost
// doubles the time, so that one comparison at cost 31 takes about 40 hours.
var boundedBcrypt = regexp.MustCompile(`^\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}$`)

// usable reports whether a stored hash can be read, and compared with in bounded time and
// memory. One that cannot, imported or written by another program, lets nobody in, and
// costs what an unknown user costs.
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
