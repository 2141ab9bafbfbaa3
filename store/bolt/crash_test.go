package bolt

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
)

// The crash model: a child process writes under load and reports what it tries and what was
// answered. It is killed at a random time. Then everything that was answered must be there,
// and everything that is there must be whole.

const crashUsers = 12

// writeUntilKilled is the child process. It prints a line before each write (try) and one after
// the answer (ack), each in one system call.
func writeUntilKilled(args []string) int {
	s, err := Open(args[0], quiet)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(os.Stdout, format+"\n", args...)
	}
	say("ready")
	for i := range crashUsers {
		user := fmt.Sprintf("user-%d", i)
		go func() {
			n := 0
			if r, _, err := s.Load("default", user); err == nil {
				n = number(r.Session.Alias)
			}
			for {
				n++
				say("try %s %d", user, n)
				r := record("default", user, texts(n))
				stored, err := s.Update("default", user, func(old *session.Record) (*session.Record, error) {
					if n%3 == 0 && old != nil {
						r.Generation = old.Generation // keeps its quotas
					}
					return &r, nil
				})
				if err != nil {
					say("failed %s %v", user, err)
					return
				}
				say("ack %s %d", user, n)
				key := limiter.QuotaKey{Org: "default", User: user}
				if err := reserve(s, key, limiter.Reservation{Generation: stored.Generation, Start: int64(n), Reserved: int64(n)}); err != nil {
					say("failed %s %v", user, err)
					return
				}
				say("reserved %s %d %d", user, n, stored.Generation)
			}
		}()
	}
	select {}
}

func TestCrash(t *testing.T) {
	path := newPath(t)
	mustClose(t, mustOpen(t, path))
	random := newRandom(t)

	type state struct{ tried, acked, reserved, generation int }
	states := make(map[string]*state)
	for i := range crashUsers {
		states[fmt.Sprintf("user-%d", i)] = &state{}
	}
	acked := 0
	const crashes = 50
	for crash := range crashes {
		cmd := exec.Command(os.Args[0], path)
		cmd.Env = childEnvironment("write")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan() // ready
		timer := time.AfterFunc(time.Duration(random.Int64N(int64(40*time.Millisecond))), func() { cmd.Process.Kill() })
		for lines.Scan() {
			var word, user string
			var n, generation int
			fmt.Sscan(lines.Text(), &word, &user, &n, &generation)
			st := states[user]
			switch {
			case st == nil || word == "failed":
				t.Errorf("child: %s", lines.Text())
			case word == "try":
				st.tried = n
			case word == "ack":
				st.acked = n
				acked++
			case word == "reserved":
				st.reserved, st.generation = n, generation
			}
		}
		cmd.Wait()
		timer.Stop()

		s, err := Open(path, quiet)
		if err != nil {
			t.Fatalf("crash %d: %v", crash, err)
		}
		for user, st := range states {
			r, kept, err := s.Load("default", user)
			if st.acked == 0 && err != nil {
				want(t, user, err, auth.ErrNoUser)
				continue
			}
			if err != nil {
				t.Errorf("crash %d: %s: %v", crash, user, err)
				continue
			}
			n := number(r.Session.Alias)
			if n < st.acked || n > st.tried {
				t.Errorf("crash %d: %s is at %d, acknowledged %d, tried %d", crash, user, n, st.acked, st.tried)
			}
			if r.Session.Tags[0] != r.Session.Alias || r.Session.Tags[1] != "end" {
				t.Errorf("crash %d: %s is half one record and half another: %+v", crash, user, r.Session)
			}
			// A write that started afresh has taken the quotas of the generation before
			// with it, in the same commit.
			for _, k := range kept {
				if k.Generation != r.Generation {
					t.Errorf("crash %d: %s of generation %d has a quota of generation %d", crash, user, r.Generation, k.Generation)
				}
			}
			if uint64(st.generation) == r.Generation && (len(kept) != 1 || int(kept[0].Reserved) < st.reserved) {
				t.Errorf("crash %d: %s: acknowledged a reservation of %d, kept %+v", crash, user, st.reserved, kept)
			}
			st.acked, st.tried = n, n
		}
		mustClose(t, s)
		if t.Failed() {
			break
		}
	}
	checkPages(t, path)
	t.Logf("%d acknowledged writes over %d crashes", acked, crashes)
	if acked < crashes {
		t.Errorf("too little was written between the crashes: %d", acked)
	}
	if entries, err := os.ReadDir(strings.TrimSuffix(path, "/sidekey.db")); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
