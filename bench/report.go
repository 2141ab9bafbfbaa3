//go:build linux

package main

import (
	"os"
	"runtime"
	"strings"
)

// report is the content of the file that -json writes.
type report struct {
	Machine     machine `json:"machine"`
	Runs        int     `json:"runs"`    // for each row
	Seconds     float64 `json:"seconds"` // for each run
	Connections int     `json:"connections"`
	Rows        []row   `json:"rows"`
}

// machine describes the machine that the figures were measured on.
type machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

func describeMachine() machine {
	m := machine{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(text), "model name")
		line, _, _ := strings.Cut(rest, "\n")
		m.CPU = strings.TrimLeft(line, "\t: ")
	}
	return m
}
