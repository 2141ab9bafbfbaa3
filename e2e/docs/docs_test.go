package docs

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sidekey/command"
	"sidekey/config"
	"sidekey/internal/testutil"
)

// A test runs or compares everything that README.md and docs/ show. The language of a fenced block
// says what the block is:
//
//	sh         commands, each of which must succeed (typed_linux_test.go runs them)
//	console    commands after "$ ", each with its complete output
//	toml       keys for sidecar.toml, which gets them before the next commands
//	json       a file, if a name follows the language; else what a story compares
//	others     a part of a file in examples/, except for comments and indentation
//
// "…" in a block stands for any text, on a line of its own for any lines: dates, ids and numbers that
// differ between runs.

// block is a fenced block of a document.
type block struct {
	at       string // FILE:LINE
	language string
	file     string // the word after the language
	text     string
}

// document is a Markdown file.
type document struct {
	name   string
	text   string // all of it
	prose  string // without the blocks
	blocks []block
}

func documents(t *testing.T) (list []document) {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, name := range append([]string{"README.md"}, names...) {
		list = append(list, readDocument(t, name))
	}
	return list
}

func readDocument(t *testing.T, name string) document {
	t.Helper()
	d := document{name: name, text: testutil.ReadFile(t, name)}
	var open *block
	for number, line := range strings.Split(d.text, "\n") {
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open == nil:
			language, file, _ := strings.Cut(info, " ")
			open = &block{at: fmt.Sprintf("%s:%d", name, number+1), language: language, file: file}
		case fence:
			d.blocks = append(d.blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		default:
			d.prose += line + "\n"
			if strings.HasPrefix(line, "~~~") || strings.HasPrefix(line, "    ") && !strings.HasPrefix(strings.TrimSpace(line), "- ") {
				t.Errorf("%s:%d: a block is fenced with ``` and says its language", name, number+1)
			}
		}
	}
	if open != nil {
		t.Fatalf("%s: the block has no end", open.at)
	}
	return d
}

// looksLike matches a text shown in a document with the real one.
func looksLike(want, got string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(want) {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
	}
	return regexp.MustCompile(`\A` + pattern.String() + `\z`).MatchString(got)
}

func TestLooksLike(t *testing.T) {
	f := func(want, got string, is bool) {
		t.Helper()
		if looksLike(want, got) != is {
			t.Errorf("%q shows %q: want %t", want, got, is)
		}
	}
	f("a\n", "b\n", false)
	f("a\n", "a\nb\n", false)
	f("a\n", "a.\n", false)
	f("a…c\n", "a\nc\n", false)
	f("…\nb\n", "a\n", false)
	f("a.c\n", "abc\n", false)
	f("a\n", "a\n", true)
	f("a…c\n", "abc\n", true)
	f("…\nb\n…\n", "a\na\nb\n", true)
	f("…\n", "", true)
}

// No test would run a block of an unknown kind.
func TestDocsBlocks(t *testing.T) {
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if wrong := b.check(t, d); wrong != "" {
				t.Errorf("%s: %s", b.at, wrong)
			}
		}
	}
}

func (b block) check(t *testing.T, d document) (wrong string) {
	switch b.language {
	case "sh", "console":
		if b.language == "console" && !strings.HasPrefix(b.text, "$ ") {
			return "a block of a console begins with $ and a command"
		}
		return "" // typed_linux_test.go
	case "toml":
		if _, err := config.Load(testutil.WriteFile(t, t.TempDir(), "sidecar.toml", b.text)); err != nil {
			return err.Error()
		}
	case "json":
		if !json.Valid([]byte(b.text)) {
			return "this is no JSON"
		}
		if b.file != "" {
			if used := strings.Count(d.text, b.file); used < 2 {
				return b.file + " is used by no command"
			}
			return ""
		}
		for _, story := range testutil.Glob(t, "e2e/story/testdata/script/*.txtar") {
			for line := range strings.Lines(testutil.ReadFile(t, story)) {
				if looksLike(b.text, line) {
					return ""
				}
			}
		}
		return "no story in e2e/story/testdata/script compares with this"
	case "nginx", "yaml", "caddyfile", "haproxy":
		want := "\n" + significant(b.text)
		for _, file := range testutil.Glob(t, "examples/*") {
			if strings.Contains("\n"+significant(testutil.ReadFile(t, file)), want) {
				return ""
			}
		}
		return "no file in examples/ has these lines, one behind the other"
	default:
		return fmt.Sprintf("unknown kind of block: %q", b.language)
	}
	return ""
}

// significant returns a text without comments, empty lines, and spaces around its lines.
func significant(text string) string {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(" "+strings.Join(strings.Fields(line), " "), " #")
		if line = strings.TrimSpace(line); line != "" {
			lines.WriteString(line + "\n")
		}
	}
	return lines.String()
}

// The commands in the head of an example are those of the documents, to the letter, so they are
// typed there. Other lines of a head stand in an example, or are addresses.
func TestExampleHeads(t *testing.T) {
	var typed strings.Builder
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			if b.language == "sh" || b.language == "console" {
				typed.WriteString(significant(strings.ReplaceAll("\n"+b.text, "\n$ ", "\n")))
			}
		}
	}
	var examples strings.Builder
	for _, file := range testutil.Glob(t, "examples/*") {
		examples.WriteString(significant(testutil.ReadFile(t, file)))
	}
	for _, file := range append(testutil.Glob(t, "examples/*"), "Dockerfile") {
		for line := range strings.Lines(testutil.ReadFile(t, file)) {
			shown, isHead := strings.CutPrefix(line, "#")
			if !isHead {
				shown, isHead = strings.CutPrefix(line, "--")
			}
			if !isHead {
				break
			}
			shown, isShown := strings.CutPrefix(shown, "    ")
			if !isShown || addressRow.MatchString(strings.TrimSpace(shown)) {
				continue
			}
			if shown = "\n" + significant(shown); !strings.Contains("\n"+typed.String(), shown) && !strings.Contains("\n"+examples.String(), shown) {
				t.Errorf("%s: no document tells to type, and no example has %s", file, strings.TrimSpace(shown))
			}
		}
	}
}

// addressRow matches a row of the table of addresses in the head of an example.
var addressRow = regexp.MustCompile(`^[0-9.:]+ {2,}`)

// notRun lists the commands that no test types, with the reason. They are checked like commands in
// prose: commands, flags, targets and tests must exist.
var notRun = map[string]string{
	"make test": "is what runs this test",
	"docker ":   "is typed by TestContainers",
	"kubectl ":  "is typed by TestContainers",
}

// why returns the reason why a line of a block is not run; "" = it is.
func why(line string) string {
	for command, reason := range notRun {
		if line == strings.TrimSpace(command) || strings.HasPrefix(line, strings.TrimSpace(command)+" ") {
			return reason
		}
	}
	return ""
}

func TestDocsNotRun(t *testing.T) {
	var text strings.Builder
	for _, d := range documents(t) {
		for _, b := range d.blocks {
			text.WriteString(strings.ReplaceAll("\n"+b.text, "\n$ ", "\n"))
		}
	}
	for command, reason := range notRun {
		if !strings.Contains(text.String(), "\n"+command) {
			t.Errorf("%q is in no block any more (it %s)", command, reason)
		}
	}
}

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	inBlock  = regexp.MustCompile(`(?m)^(?:\$ )?(?:[A-Z_]+=\S+ )*(.*)$`)
	target   = regexp.MustCompile(`(?m)^([a-z-]+):`)
)

// commandLines returns the command lines of a document: lines of blocks, and code spans of its
// text, that begin with the name of one of our programs.
func (d document) commandLines() (lines []string) {
	add := func(line string) {
		line = strings.TrimPrefix(strings.Join(strings.Fields(line), " "), "./")
		for _, name := range []string{"sidekey ", "make ", "go test ", "go run "} {
			if strings.HasPrefix(line, name) {
				lines = append(lines, line)
			}
		}
	}
	for _, b := range d.blocks {
		if b.language == "sh" || b.language == "console" {
			for _, m := range inBlock.FindAllStringSubmatch(strings.ReplaceAll(b.text, "\\\n", " "), -1) {
				if b.language == "sh" || strings.HasPrefix(m[0], "$ ") {
					add(m[1])
				}
			}
		}
	}
	for _, m := range codeSpan.FindAllStringSubmatch(d.prose, -1) {
		add(m[1])
	}
	return lines
}

// Every command in a document exists, with its flags; so do the targets of make, the tests and the
// benchmarks.
func TestDocsCommands(t *testing.T) {
	targets := target.FindAllString(testutil.ReadFile(t, "Makefile"), -1)
	checked := make(map[string]bool)
	for _, d := range documents(t) {
		for _, line := range d.commandLines() {
			words := shellWords(line)
			var err error
			switch words[0] {
			case "sidekey":
				err = parses(words[1:])
			case "make":
				for _, word := range words[1:] {
					if !strings.Contains(word, "=") && !slices.Contains(targets, word+":") {
						err = fmt.Errorf("there is no target %s", word)
					}
				}
			case "go":
				err = goCommand(t, words[1:])
			}
			if err != nil {
				t.Errorf("%s: %s: %v", d.name, line, err)
			}
			checked[words[0]] = true
		}
	}
	if got := slices.Sorted(maps.Keys(checked)); !slices.Equal(got, []string{"go", "make", "sidekey"}) {
		t.Errorf("only commands of %q were found", got)
	}
}

// shellWords splits a command into words, up to a redirection of its output.
func shellWords(line string) (words []string) {
	for word := range strings.FieldsSeq(regexp.MustCompile(`'[^']*'|"[^"]*"`).ReplaceAllString(line, "QUOTED")) {
		if strings.ContainsAny(word[:1], "#|><;&") {
			break
		}
		words = append(words, strings.TrimRight(word, ";"))
	}
	return words
}

// parses returns an error if a command or a flag of a command line does not exist. Names in
// capitals stand for values, and brackets or an ellipsis for choices.
func parses(args []string) error {
	root := command.New(command.Program{})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	for i, arg := range args { // as command.Run does
		if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
			args[i] = "-" + arg
		}
	}
	found, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if found == root && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return fmt.Errorf("there is no command %q", args[0])
	}
	if found.HasSubCommands() && len(rest) > 0 && found != root {
		return fmt.Errorf("there is no command %q below %s", rest[0], found.Name())
	}
	found.InitDefaultHelpFlag()
	for _, arg := range rest {
		if name, isLong := strings.CutPrefix(arg, "--"); isLong {
			name, _, _ = strings.Cut(name, "=")
			if found.Flag(name) == nil {
				return fmt.Errorf("%s has no flag -%s", found.CommandPath(), name)
			}
		}
	}
	return nil
}

var functionNamed = `(?m)^func (%s)\(`

// goCommand returns an error if what go test or go run should run does not exist.
func goCommand(t *testing.T, words []string) error {
	folder, below := ".", false
	for _, word := range words {
		if strings.HasPrefix(word, "./") {
			folder, below = strings.CutSuffix(word, "/...")
		}
	}
	var code strings.Builder
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != folder && (!below || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			code.WriteString(testutil.ReadFile(t, path))
		}
		return nil
	})
	if err != nil {
		return err
	}
	built := []string{"v", "run", "bench", "count", "timeout", "args", "race", "cpuprofile", "benchtime", "h", "rapid.checks"}
	for i, word := range words {
		name, isFlag := strings.CutPrefix(word, "-")
		name, value, _ := strings.Cut(name, "=")
		if !isFlag {
			continue
		}
		if !slices.Contains(built, name) && !regexp.MustCompile(`(?:flag|flags)\.\w+\((?:&[\w.]+, )?"`+regexp.QuoteMeta(name)+`"`).MatchString(code.String()) {
			return fmt.Errorf("there is no flag -%s", name)
		}
		if name != "run" && name != "bench" {
			continue
		}
		if value == "" && i+1 < len(words) {
			value = words[i+1]
		}
		value, _, _ = strings.Cut(value, "/") // the part after the slash names a case
		if value == "" || value == "." || value == "…" || value == "QUOTED" {
			continue
		}
		kind := map[string]string{"run": `(?:Test|Fuzz)\w*`, "bench": `Benchmark\w*`}[name]
		found := regexp.MustCompile(fmt.Sprintf(functionNamed, kind)).FindAllStringSubmatch(code.String(), -1)
		if !slices.ContainsFunc(found, func(m []string) bool { return regexp.MustCompile(value).MatchString(m[1]) }) {
			return fmt.Errorf("no function of %s matches -%s %s", folder, name, value)
		}
	}
	return nil
}

var (
	keyInText    = regexp.MustCompile(`^(log|events|check|admin|passwords|bruteforce|limits|lifecycle|rights|apis)\.([a-z_]+)\b`)
	metricInText = regexp.MustCompile(`\bsidekey_[a-z_]+`)
)

// Keys of the configuration and metrics have the right names in the documents.
func TestDocsNames(t *testing.T) {
	var code strings.Builder
	for _, pattern := range []string{"server/*.go", "admin/*.go", "check/*.go"} {
		for _, file := range testutil.Glob(t, pattern) {
			if !strings.HasSuffix(file, "_test.go") {
				code.WriteString(testutil.ReadFile(t, file))
			}
		}
	}
	_, manual, _ := strings.Cut(testutil.ReadFile(t, "docs/configuration.md"), "\n")
	for _, d := range documents(t) {
		for _, m := range codeSpan.FindAllStringSubmatch(d.prose, -1) {
			key := keyInText.FindStringSubmatch(m[1])
			if key == nil || m[1] == "admin.secret" { // a file
				continue
			}
			_, section, _ := strings.Cut(manual, "["+key[1]+"]")
			section, _, _ = strings.Cut(section, "\n## ")
			if !strings.Contains(section, "`"+key[2]+"`") {
				t.Errorf("%s: there is no key %s", d.name, m[1])
			}
		}
		for _, name := range metricInText.FindAllString(d.text, -1) {
			if !strings.Contains(code.String(), name) {
				t.Errorf("%s: there is no metric %s", d.name, name)
			}
		}
	}
}

var (
	linkIn  = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// Links lead to files and headings that exist, and docs/README.md leads to every document.
func TestDocsLinks(t *testing.T) {
	linked := make(map[string]bool)
	for _, d := range documents(t) {
		for _, link := range linkIn.FindAllStringSubmatch(d.prose, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			path := d.name
			if link[1] != "" {
				path = filepath.Join(filepath.Dir(d.name), link[1])
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", d.name, err)
				continue
			}
			if d.name == "docs/README.md" {
				linked[path] = true
			}
			if link[2] != "" && !slices.Contains(anchors(testutil.ReadFile(t, path)), link[2]) {
				t.Errorf("%s: %s has no heading %s", d.name, path, link[2])
			}
		}
	}
	for _, d := range documents(t) {
		if strings.HasPrefix(d.name, "docs/") && d.name != "docs/README.md" && !linked[d.name] {
			t.Errorf("docs/README.md does not lead to %s", d.name)
		}
	}
}

// anchors returns the headings of a document as GitHub names them.
func anchors(text string) (list []string) {
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(strings.NewReplacer("`", "", "[", "", "]", "").Replace(m[1]))
		name = regexp.MustCompile(`[^\w\s-]`).ReplaceAllString(name, "")
		list = append(list, "#"+strings.ReplaceAll(name, " ", "-"))
	}
	return list
}

var figure = regexp.MustCompile(`[0-9][0-9.,]* (?:to [0-9]+ )?(?:KB|KiB|MiB|bytes|ms)`)

// The figures in a row about sizing stand in the document that the row links to.
func TestDocsSizing(t *testing.T) {
	_, sizing, _ := strings.Cut(testutil.ReadFile(t, "docs/operations.md"), "## Sizing\n")
	sizing, _, _ = strings.Cut(sizing, "\n## ")
	var count int
	for line := range strings.Lines(sizing) {
		link := linkIn.FindStringSubmatch(line)
		if !strings.HasPrefix(line, "| ") || link == nil {
			continue
		}
		source := strings.Join(strings.Fields(testutil.ReadFile(t, filepath.Join("docs", link[1]))), " ")
		for _, value := range figure.FindAllString(line, -1) {
			count++
			if !strings.Contains(source, value) {
				t.Errorf("%s does not say %s", link[1], value)
			}
		}
	}
	if count < 7 {
		t.Errorf("only %d figures were found", count)
	}
}

// A README is short enough to read: one screen and a half.
func TestREADMEIsShort(t *testing.T) {
	if lines := strings.Count(testutil.ReadFile(t, "README.md"), "\n"); lines > 110 {
		t.Errorf("README.md has %d lines", lines)
	}
	for _, picture := range []string{"](docs/page.png)", "](docs/beside-a-proxy.svg)"} {
		if !strings.Contains(testutil.ReadFile(t, "README.md"), picture) {
			t.Errorf("README.md shows no picture %s", picture)
		}
	}
}
