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

// Load reads a configuration file, and returns the defaults where path is "".
//
// All that is wrong with a file comes at once, as [problem.List]; a file that is not
// TOML has one problem, with its line and column. Any other error is one of reading.
func Load(path string) (Config, error) {
	if path == "" {
		return Default(), nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	return parse(string(text))
}

// parse reads the text of a configuration file over the defaults. Its errors
// are [problem.List].
func parse(text string) (Config, error) {
	var table map[string]any
	if _, err := toml.Decode(text, &table); err != nil {
		return Config{}, problem.List{syntaxProblem(err)}
	}
	config := Default()
	var found problems
	decodeTable(&found, "", table, &config)

	// A key that could not be read holds its default now. What the rules say of that
	// is not what the reader of the file should see.
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

// syntaxProblem puts what the TOML parser says on one line, so that a log line and a
// JSON answer can hold it.
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

// printable returns r, or a sign for what a terminal or a log would take for more
// than a character.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// within reports whether a key is, or lies below, another.
func within(key, other string) bool {
	rest, ok := strings.CutPrefix(key, other)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Lines returns an error of [Load] as lines to print or to log: one for
// each problem.
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
