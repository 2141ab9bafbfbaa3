package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateManual = flag.Bool("update", false, "write docs/configuration.md")

// docs/configuration.md has the text of sidecar.toml as tables, with every key.
// go test ./config -run TestManual -update writes it.
func TestManual(t *testing.T) {
	text, keys := manual(mustRead(t, "../sidecar.toml"))
	if *updateManual {
		if err := os.WriteFile("../docs/configuration.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if mustRead(t, "../docs/configuration.md") != text {
		t.Error("docs/configuration.md is not what sidecar.toml says: go test ./config -run TestManual -update")
	}
	if strings.Contains(text, "**not explained**") {
		t.Error("a key in sidecar.toml has no comment")
	}
	var sections []string
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		if at, _, isBelow := strings.Cut(key, "."); isBelow && !slices.Contains(sections, at) {
			sections = append(sections, at)
		}
	}
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		if !slices.Contains(keys, key) && !slices.Contains(sections, key) && key != "policies" {
			t.Errorf("%s is not in docs/configuration.md", key)
		}
	}
}

var (
	sectionLine = regexp.MustCompile(`^#?\[\[?([a-z]+)\]\]?$`)
	keyLine     = regexp.MustCompile(`^#?([a-z_]+) = (.+)$`)
)

// manual turns the commented configuration into a document, and returns the full names of the keys in
// it. A comment above a section introduces it; a comment above one or more keys explains them.
func manual(text string) (document string, keys []string) {
	var out strings.Builder
	out.WriteString("# Configuration\n\n" +
		"Made from [sidecar.toml](../sidecar.toml), which says the same beside each key, by `go test ./config -run TestManual -update`.\n\n")
	var section string
	var said []string        // comments that nothing was found for yet
	var names, values string // of the row under way
	var meaning string
	endRow := func() {
		if names != "" && meaning == "" {
			meaning = "**not explained**"
		}
		if names != "" {
			fmt.Fprintf(&out, "| %s | %s | %s |\n", names, values, strings.NewReplacer("|", `\|`, "*", `\*`).Replace(meaning))
		}
		names, values = "", ""
	}
	header := "| key | default | |\n| --- | --- | --- |\n"
	inTable := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		comment, isComment := strings.CutPrefix(line, "# ")
		switch {
		case sectionLine.MatchString(line):
			endRow()
			section = sectionLine.FindStringSubmatch(line)[1]
			brackets := strings.TrimPrefix(line, "#")
			fmt.Fprintf(&out, "\n## `%s`\n\n", brackets)
			if len(said) > 0 {
				fmt.Fprintf(&out, "%s\n\n", strings.Join(said, " "))
			}
			said, meaning, inTable = nil, "", false
			if section == "policies" {
				_, example, _ := strings.Cut(text, "#[[policies]]\n")
				fmt.Fprintf(&out, "```toml\n%s```\n", uncomment("#[[policies]]\n"+example))
				return out.String(), keys
			}
		case keyLine.MatchString(line):
			m := keyLine.FindStringSubmatch(line)
			keys = append(keys, keyBelow(section, m[1]))
			if len(said) > 0 {
				endRow()
				meaning, said = strings.Join(said, " "), nil
			}
			if !inTable {
				out.WriteString(header)
				inTable = true
			}
			if names != "" {
				names, values = names+"<br>", values+"<br>"
			}
			names, values = names+"`"+m[1]+"`", values+"`"+m[2]+"`"
		case isComment:
			said = append(said, comment)
		case line == "" && len(said) > 0 && section == "" && !inTable: // the file's own head
			fmt.Fprintf(&out, "%s\n\n", strings.Join(said, " "))
			said = nil
		}
	}
	return out.String(), keys
}
