package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// drawn is how many users are drawn before the generator begins again.
const drawn = 100_000

// spreadScript makes wrk ask for another user each time, in the order of a file of
// Authorization values. Each request is put together once.
const spreadScript = `
local requests, n = {}, 0
function init(args)
  local known = {}
  for value in io.lines(%q) do
    if not known[value] then
      wrk.headers["Authorization"] = value
      known[value] = wrk.format()
    end
    requests[#requests+1] = known[value]
  end
end
function request()
  n = n %% #requests + 1
  return requests[n]
end
`

// writeSpread writes a script for wrk that asks for the users that draw names, 0 to n-1.
func writeSpread(dir, name string, draw func() uint64) (script string, err error) {
	var values strings.Builder
	for range drawn {
		values.WriteString("Basic " + base64.StdEncoding.EncodeToString([]byte(userName(int(draw())+1)+":"+password)) + "\n")
	}
	list := filepath.Join(dir, name+".txt")
	if err := os.WriteFile(list, []byte(values.String()), 0o600); err != nil {
		return "", err
	}
	script = filepath.Join(dir, name+".lua")
	return script, os.WriteFile(script, fmt.Appendf(nil, spreadScript, list), 0o600)
}

// measureSpread compares requests of many active users, who all have logged in, with the
// same ones to the bare handler: of each user alike, and by Zipf's law (the second is asked
// for half as often as the first).
func measureSpread(ctx context.Context, o options, dir, checkAddr, bareAddr string, active int) (rows []row, err error) {
	const path = "/auth/envoy/orders/1?x=2"
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.001, 1, uint64(active-1))
	for _, spread := range []struct {
		name string
		draw func() uint64
	}{
		{"uniform", func() uint64 { return random.Uint64N(uint64(active)) }},
		{"zipf", zipf.Uint64},
	} {
		script, err := writeSpread(dir, fmt.Sprintf("%s%d", spread.name, active), spread.draw)
		if err != nil {
			return rows, err
		}
		r, err := compare(ctx, o, fmt.Sprintf("%d users, %s", active, spread.name), "http://"+checkAddr+path, "http://"+bareAddr+path, traffic{headers: []string{forwardedFor}, script: script})
		if err != nil {
			return rows, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}
