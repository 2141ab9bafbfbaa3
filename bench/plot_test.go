//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The chart in the documentation shows the figures there.
func TestPlotOfDocs(t *testing.T) {
	docs := filepath.Join("..", "docs")
	want, err := os.ReadFile(filepath.Join(docs, "performance.svg"))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := plotJSON(&got, filepath.Join(docs, "performance.json")); err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Error("docs/performance.svg differs from the output of -plot for docs/performance.json")
	}
	for d := xml.NewDecoder(&got); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlot(t *testing.T) {
	var got strings.Builder
	err := plot(&got, []row{
		{Name: "check/envoy", Sidekey: []float64{1}, Rival: []float64{1}},
		{Name: "users/100/uniform", Sidekey: []float64{40, 50, 60}, Rival: []float64{100, 100, 100}, CPU: []float64{20}, RivalCPU: []float64{10}},
		{Name: "users/100/zipf", Sidekey: []float64{100}, Rival: []float64{100}, CPU: []float64{15}, RivalCPU: []float64{12}},
		{Name: "users/10000/uniform", Sidekey: []float64{25}, Rival: []float64{100}, CPU: []float64{20}, RivalCPU: []float64{11}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		// From y = 270, which is 0, up to 50, which is 1.
		`x1="0" y1="182" x2="0" y2="138"/><circle cx="0" cy="160" r="3.5"/>`,
		`<polyline points="0,160 290,215 "/>`,
		`<polyline points="0,50 "/>`,
		`<polyline points="0,149 290,149 "/>`, // the bare handler's 11 of 20 µs
		`text-anchor="middle">10,000</text>`,
	} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("the plot lacks %s:\n%s", want, got.String())
		}
	}
	if err := plot(io.Discard, []row{{Name: "hot"}}); err == nil {
		t.Error("a chart without rows is drawn")
	}
}
