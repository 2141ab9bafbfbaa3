package crash

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// All operations on a user, as a client of both listeners sees them. porcupine looks for an order
// in which each operation happened in one instant between its call and its answer.

// operation is one request about a user.
type operation struct {
	kind     string // "create", "replace", "delete", "get", "check"
	password string // "" on replace = unchanged
	max      int64
	keep     bool // ?suppress_reset=1
	version  int  // the version that is written, or that a get returned
}

// outcome is the answer to an operation.
type outcome int

const (
	unknown outcome = iota // it may have happened or not
	done
	missing  // 404
	refused  // 401
	overdone // quota exceeded
)

// userState is the model's state of a user. The zero value is a user that does not exist.
type userState struct {
	exists   bool
	password string
	max      int64
	used     int64
	version  int
}

// next returns the states that an operation may lead to. If there are none, the answer is
// impossible.
func (s userState) next(op operation, answer outcome) (states []any) {
	if answer == unknown {
		states = append(states, s)
	}
	could := func(o outcome) bool { return answer == o || answer == unknown && o == done }
	switch op.kind {
	case "check":
		switch right := s.exists && s.password == op.password; {
		case right && s.used < s.max && could(done):
			s.used++
			return append(states, s)
		case right && s.used >= s.max && answer == overdone, !right && answer == refused:
			return append(states, s)
		}
		return states
	case "get":
		if s.exists && answer == done && s.version == op.version || !s.exists && answer == missing {
			return append(states, s)
		}
		return states
	case "delete":
		switch {
		case s.exists && could(done):
			return append(states, userState{})
		case !s.exists && answer == missing:
			return append(states, s)
		}
		return states
	case "replace":
		if !s.exists {
			if answer == missing {
				return append(states, s)
			}
			return states
		}
	}
	if could(done) {
		after := userState{exists: true, password: cmp.Or(op.password, s.password), max: op.max, version: op.version}
		if op.keep {
			after.used = s.used
		}
		states = append(states, after)
	}
	return states
}

var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{userState{}} },
	Step: func(state, input, output any) []any {
		return state.(userState).next(input.(operation), output.(outcome))
	},
	Equal:             func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %v", in, out) },
	DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s) },
}).ToModel()

// history is the list of operations on one user.
type history struct {
	name  string
	start time.Time

	mu         sync.Mutex
	operations []porcupine.Operation
}

func (h *history) now() int64 { return int64(time.Since(h.start)) }

// do carries out an operation. alive is false if the process has ended.
func (h *history) do(client int, admin, check *connection, op operation) (alive bool, err error) {
	before := h.now()
	status, text, err := op.send(h.name, admin, check)
	after := h.now()
	answer := unknown
	switch {
	case errors.Is(err, errNotSent):
		return false, nil
	case err != nil:
	case status == 200:
		answer = done
		if op.kind == "get" {
			var shown struct{ Alias string }
			if err := json.Unmarshal([]byte(text), &shown); err != nil {
				return true, err
			}
			if op.version, err = strconv.Atoi(shown.Alias); err != nil {
				return true, err
			}
		}
	case op.kind != "check" && status == 404:
		answer = missing
	case op.kind == "check" && status == 401:
		answer = refused
	case op.kind == "check" && status == 403 && strings.Contains(text, "Quota exceeded"):
		answer = overdone
	case op.kind == "check" && status == 429: // nothing is used up, but a crash may burn what was reserved for it
	default:
		return true, fmt.Errorf("%+v of %s was answered %d %s", op, h.name, status, text)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{ClientId: client, Input: op, Call: before, Output: answer, Return: after})
	return err == nil, nil
}

func (op operation) send(user string, admin, check *connection) (int, string, error) {
	target, body := "/tyk/keys/"+user, fmt.Sprintf(`{"alias": "%d", "quota_max": %d, "quota_renewal_rate": 1000000, "basic_auth_data": {"password": %q}}`, op.version, op.max, op.password)
	if op.keep {
		target += "?suppress_reset=1"
	}
	switch op.kind {
	case "check":
		return check.ask(user, op.password)
	case "create":
		return admin.do("POST", target, body)
	case "replace":
		return admin.do("PUT", target, body)
	case "get":
		return admin.do("GET", target, "")
	}
	return admin.do("DELETE", target, "")
}

func drawOperation(random *rand.Rand) operation {
	op := operation{kind: "check", password: "right"}
	// Hashing takes long, so most know the password.
	if random.IntN(50) == 0 {
		op.password = "other"
	}
	switch n := random.IntN(1000); {
	case n < 20:
		op.kind = "create"
	case n < 40:
		op.kind = "replace"
	case n < 45:
		op.kind = "delete"
	case n < 95:
		op.kind = "get"
	}
	if op.kind == "create" || op.kind == "replace" {
		op.version = random.Int()
		// Below 100, nothing is reserved ahead: a crash burns only what was requested.
		op.max = []int64{5, 30, 99}[random.IntN(3)]
	}
	if op.kind == "replace" && random.IntN(2) == 0 {
		op.keep, op.password = true, []string{"", "right", "other"}[random.IntN(3)]
	}
	return op
}

// All answers of both listeners fit one order of the operations on a user, over crashes, whether or
// not the operations in progress then happened.
func TestLinearizable(t *testing.T) {
	random := newRandom(t)
	seed := random.Uint64()
	deadline := time.Now().Add(time.Duration(size(5, 300)) * time.Second)
	operations, crashes, episodes := 0, 0, 0
	for ; time.Now().Before(deadline) && !t.Failed(); episodes++ {
		v := newVictim(t, memoryDir(t), "")
		var list []*history
		for i := range 4 {
			list = append(list, &history{name: fmt.Sprintf("user-%d", i), start: time.Now()})
		}
		// The process is killed during operations, from the first call on, at any call.
		for range 5 {
			var k killer
			k.arm(v, 10+random.IntN(2000))
			if !v.start() && k.killed.Load() == nil {
				t.Fatalf("sidekey does not start:\n%s", v.output.Tail(2000))
			}
			timer := time.AfterFunc(time.Duration(100+random.IntN(900))*time.Millisecond, func() { v.cmd.Process.Kill() })
			var group sync.WaitGroup
			var clients atomic.Int64
			for _, h := range list {
				for range 3 {
					group.Go(func() {
						client := int(clients.Add(1))
						random := rand.New(rand.NewPCG(seed, uint64(crashes*100+client)))
						admin, check := v.admin(), v.check()
						defer admin.close()
						defer check.close()
						for {
							alive, err := h.do(client, admin, check, drawOperation(random))
							if err != nil {
								t.Error(err)
							}
							if !alive || err != nil {
								return
							}
						}
					})
				}
			}
			group.Wait()
			timer.Stop()
			v.kill()
			crashes++
		}
		for _, h := range list {
			operations += len(h.operations)
			switch porcupine.CheckOperationsTimeout(model, h.operations, time.Minute) {
			case porcupine.Illegal:
				t.Errorf("%s: no order of its %d operations explains all answers", h.name, len(h.operations))
				for _, o := range h.operations {
					t.Logf("%8d–%8d µs, client %d: %s", o.Call/1000, o.Return/1000, o.ClientId, model.DescribeOperation(o.Input, o.Output))
				}
			case porcupine.Unknown:
				t.Errorf("%s: %d operations could not be checked in a minute", h.name, len(h.operations))
			}
		}
	}
	t.Logf("%d operations over %d crashes in %d histories: linearizable", operations, crashes, 4*episodes)
}
