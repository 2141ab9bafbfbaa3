//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"text/template"
)

// plotJSON draws the rows users/* of a file that -json wrote. The same file always gives the same
// chart.
func plotJSON(w io.Writer, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := plot(w, r.Rows); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// panel is one of two charts side by side. All positions are in pixels.
type panel struct {
	Left   int
	Title  string
	Bottom int
	Grid   []mark // labels of the vertical axis
	Users  []mark // labels of the horizontal axis
	Series []series
}

type mark struct {
	At   int
	Text string
}

// series is a line through the medians, with the range of the figures around each.
type series struct {
	Class string // CSS class
	Label mark
	Line  string // points of an SVG polyline
	Dots  []dot
}

type dot struct{ X, Y, Low, High int }

const (
	panelWidth  = 290 // of the area between the axes
	panelHeight = 220
	panelTop    = 50
)

// plot draws the cost of many users against the number of users stored: requests per second as a
// share of the bare handler's, and processor time.
func plot(w io.Writer, rows []row) error {
	byLaw := make(map[string][]point)
	bare := make(map[int][]float64) // the law makes no difference to it
	for _, r := range rows {
		var n int
		var law string
		if _, err := fmt.Sscanf(strings.ReplaceAll(r.Name, "/", " "), "users %d %s", &n, &law); err != nil || len(r.Rival) == 0 {
			continue
		}
		byLaw[law] = append(byLaw[law], point{n, ratios(r.Sidekey, r.Rival), r.CPU})
		bare[n] = append(bare[n], r.RivalCPU...)
	}
	for _, n := range slices.Sorted(maps.Keys(bare)) {
		byLaw["bare"] = append(byLaw["bare"], point{n, nil, bare[n]})
	}
	if len(byLaw) == 0 {
		return errors.New("missing rows users/*")
	}
	share := panel{Left: 60, Title: "Requests per second, share of the bare handler's"}
	share.draw(byLaw, []string{"uniform", "zipf"}, 1, "%.1f", func(p point) []float64 { return p.ratios })
	cpu := panel{Left: 480, Title: "Processor time of a request, µs"}
	cpu.draw(byLaw, []string{"uniform", "zipf", "bare"}, 0, "%.0f", func(p point) []float64 { return p.cpu })
	return plotTemplate.Execute(w, []panel{share, cpu})
}

// point holds the figures for a number of users stored.
type point struct {
	users       int
	ratios, cpu []float64
}

// draw adds a series for each law to the panel. The vertical axis goes from 0 to the highest value,
// or to minTop if that is higher. The horizontal axis is logarithmic.
func (p *panel) draw(byLaw map[string][]point, laws []string, minTop float64, format string, values func(point) []float64) {
	p.Bottom = panelTop + panelHeight
	top, first, last := minTop, math.MaxInt, 0
	for _, law := range laws {
		for _, at := range byLaw[law] {
			top = max(top, slices.Max(append(values(at), 0)))
			first, last = min(first, at.users), max(last, at.users)
		}
	}
	step := niceStep(top / 5)
	top = math.Ceil(top/step-1e-9) * step
	x := func(users int) int {
		if first == last {
			return panelWidth / 2
		}
		return int(math.Round(panelWidth * math.Log(float64(users)/float64(first)) / math.Log(float64(last)/float64(first))))
	}
	y := func(value float64) int { return p.Bottom - int(math.Round(panelHeight*value/top)) }
	for i := range int(math.Round(top/step)) + 1 {
		value := float64(i) * step
		p.Grid = append(p.Grid, mark{y(value), fmt.Sprintf(format, value)})
	}
	for _, law := range laws {
		s := series{Class: law}
		for _, at := range byLaw[law] {
			if list := values(at); len(list) > 0 {
				s.Dots = append(s.Dots, dot{x(at.users), y(median(list)), y(slices.Min(list)), y(slices.Max(list))})
			}
			label := mark{x(at.users), thousands(at.users)}
			if !slices.Contains(p.Users, label) {
				p.Users = append(p.Users, label)
			}
		}
		if len(s.Dots) == 0 {
			continue
		}
		slices.SortStableFunc(s.Dots, func(a, b dot) int { return a.X - b.X })
		for _, d := range s.Dots {
			s.Line += fmt.Sprintf("%d,%d ", d.X, d.Y)
		}
		s.Label = mark{s.Dots[len(s.Dots)-1].Y + 4, law}
		p.Series = append(p.Series, s)
	}
	p.spreadLabels()
}

// spreadLabels moves labels apart if their lines end at the same height.
func (p *panel) spreadLabels() {
	order := make([]*series, len(p.Series))
	for i := range p.Series {
		order[i] = &p.Series[i]
	}
	slices.SortStableFunc(order, func(a, b *series) int { return a.Label.At - b.Label.At })
	for i := 1; i < len(order); i++ {
		order[i].Label.At = max(order[i].Label.At, order[i-1].Label.At+15)
	}
}

// niceStep returns the smallest of 1, 2 and 5 times a power of ten that is at least value.
func niceStep(value float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(value)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= value*(1-1e-9) {
			return factor * power
		}
	}
	return 10 * power
}

// thousands formats 1000000 as 1,000,000.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// The chart has its own background, so that it is readable on a page of any colour.
var plotTemplate = template.Must(template.New("plot").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 850 330" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="What many users cost, by the number of users stored">
<style>
  .ground { fill: #ffffff } text { fill: #24292f } .grid { stroke: #d0d7de }
  .uniform { --line: #0969da } .zipf { --line: #bc4c00 } .bare { --line: #6e7781 }
  polyline, .range { fill: none; stroke: var(--line); stroke-width: 2 } .range { stroke-width: 1 }
  circle { fill: var(--line) } .label { fill: var(--line); font-weight: 600 } .title { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d }
    .uniform { --line: #58a6ff } .zipf { --line: #ffa657 } .bare { --line: #8b949e }
  }
</style>
<rect class="ground" width="850" height="330"/>
{{- range .}}
<g transform="translate({{.Left}} 0)">
<text class="title" x="-30" y="25">{{.Title}}</text>
{{- range .Grid}}
<line class="grid" x1="0" y1="{{.At}}" x2="290" y2="{{.At}}"/><text x="-8" y="{{.At}}" dy="4" text-anchor="end">{{.Text}}</text>
{{- end}}
{{- $bottom := .Bottom}}
{{- range .Users}}
<text x="{{.At}}" y="{{$bottom}}" dy="20" text-anchor="middle">{{.Text}}</text>
{{- end}}
<text x="145" y="{{$bottom}}" dy="42" text-anchor="middle">users stored</text>
{{- range .Series}}
<g class="{{.Class}}">
{{- range .Dots}}
<line class="range" x1="{{.X}}" y1="{{.Low}}" x2="{{.X}}" y2="{{.High}}"/><circle cx="{{.X}}" cy="{{.Y}}" r="3.5"/>
{{- end}}
<polyline points="{{.Line}}"/><text class="label" x="300" y="{{.Label.At}}">{{.Label.Text}}</text>
</g>
{{- end}}
</g>
{{- end}}
</svg>
`))
