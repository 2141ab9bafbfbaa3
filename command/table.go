package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
)

// table is a result in columns, for people.
type table struct{ w *tabwriter.Writer }

// row adds a row. An empty cell becomes a dash, so that columns stay visible.
func (t *table) row(cells ...string) {
	for i, cell := range cells {
		if cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// line adds a line of text outside of the columns.
func (t *table) line(text string) { fmt.Fprintln(t.w, text) }

// show prints a result: with "-o json" as JSON on one line, else as the table that fill writes.
func show(cmd *cobra.Command, result any, fill func(*table)) error {
	asJSON, err := wantsJSON(cmd)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if asJSON {
		return printJSON(out, result)
	}
	t := &table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	fill(t)
	return t.w.Flush()
}

// wantsJSON returns whether -o is json. The error is about another value than json and table.
func wantsJSON(cmd *cobra.Command) (bool, error) {
	format, err := cmd.Flags().GetString("output")
	must(err)
	switch format {
	case "json":
		return true, nil
	case "table":
		return false, nil
	}
	return false, usage(`-o %q: must be "table" or "json"`, format)
}

func printJSON(w io.Writer, result any) error {
	text, err := json.Marshal(result, json.Deterministic(true), jsontext.EscapeForHTML(false))
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
