package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"

	"sidekey/internal/problem"
)

// Load reads and validates a configuration file. It returns the defaults if path is "".
//
// If the content is wrong, the error is a [problem.List] with all problems. If it is not TOML, the list
// has one problem, with the line and column. Any other error means that the file cannot be read.
func Load(path string) (Config, error) {
	if path == "" {
		return Default(), nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return parse(string(text))
}

// parse decodes the text of a configuration file over the defaults and validates the result. Its errors
// are [problem.List].
func parse(text string) (Config, error) {
	var table map[string]any
	if _, err := toml.Decode(text, &table); err != nil {
		return Config{}, problem.List{syntaxProblem(err)}
	}
	config := Default()
	var found problems
	decodeTable(&found, "", table, &config)

	// A key that could not be decoded has its default. Problems with that default would only confuse
	// the reader of the file.
	unread := found
	var broken problem.List
	errors.As(config.Validate(), &broken)
	for _, p := range broken {
		if !slices.ContainsFunc(unread, func(u problem.Problem) bool { return within(p.Field, u.Field) }) {
			found = append(found, p)
		}
	}
	if err := found.err(); err != nil {
		return Config{}, err
	}
	return config, nil
}

// syntaxProblem returns the error of the TOML parser as one line, for a log or a JSON answer.
func syntaxProblem(err error) problem.Problem {
	var syntax toml.ParseError
	if !errors.As(err, &syntax) {
		return problem.Problem{Want: err.Error()}
	}
	return problem.Problem{
		Field: fmt.Sprintf("line %d, column %d", syntax.Position.Line, syntax.Position.Col),
		Want:  "not valid TOML: " + strings.Map(printable, syntax.Message), // it quotes the file
	}
}

// printable returns r, or U+FFFD if r could control a terminal or break a log line.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// within reports whether a key is the other key or below it.
func within(key, other string) bool {
	rest, ok := strings.CutPrefix(key, other)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Lines returns an error of [Load] as lines to print or log, one per problem.
func Lines(err error) []string {
	var found problem.List
	if !errors.As(err, &found) {
		return []string{err.Error()}
	}
	lines := make([]string, len(found))
	for i, p := range found {
		lines[i] = p.String()
	}
	return lines
}
