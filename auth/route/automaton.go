package route

import (
	"bytes"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// automaton matches a regular expression against a whole text by simulating all of its states at once
// (Thompson, 1968). Package regexp does the same or better for one expression, but cannot be told to
// stop: here each step is paid from a budget that all patterns of one check share.
type automaton struct {
	prefix string // the start of every match
	start  uint32 // the instruction after the prefix
	insts  []syntax.Inst

	// By instruction:
	rest   []syntax.InstOp // the result of takesRest
	ascii  [][2]uint64     // the ASCII characters that it reads
	nearby [][]uint32      // the result of reach; nil: enter computes it each time
}

// compileAutomaton returns the automaton of a parsed expression.
func compileAutomaton(parsed *syntax.Regexp) (*automaton, error) {
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	n := len(prog.Inst)
	a := &automaton{start: uint32(prog.Start), insts: prog.Inst, rest: make([]syntax.InstOp, n), ascii: make([][2]uint64, n), nearby: make([][]uint32, n)}
	for pc := range a.insts {
		in := &a.insts[pc]
		// Captures do not matter: callers ask only whether the text matches.
		in.Out = a.skip(in.Out)
		if in.Op == syntax.InstAlt || in.Op == syntax.InstAltMatch {
			in.Arg = a.skip(in.Arg)
		}
	}
	for pc := range a.insts {
		a.rest[pc] = a.takesRest(uint32(pc))
	}
	for pc := range a.insts {
		if in := &a.insts[pc]; reads(in.Op) {
			a.ascii[pc] = asciiOf(in)
			a.nearby[in.Out] = a.reach(in.Out)
		}
	}
	a.start = a.skip(a.start)
	var prefix []rune
	for {
		in := &a.insts[a.start]
		single := in.Op == syntax.InstRune1 || in.Op == syntax.InstRune && len(in.Rune) == 1 && syntax.Flags(in.Arg)&syntax.FoldCase == 0
		if !single || in.Rune[0] == utf8.RuneError {
			break
		}
		prefix = append(prefix, in.Rune[0])
		a.start = in.Out
	}
	a.prefix = string(prefix)
	a.nearby[a.start] = a.reach(a.start)
	return a, nil
}

// skip returns the first instruction from pc on that has an effect.
func (a *automaton) skip(pc uint32) uint32 {
	for a.insts[pc].Op == syntax.InstNop || a.insts[pc].Op == syntax.InstCapture {
		pc = a.insts[pc].Out
	}
	return pc
}

// takesRest returns the instruction that pc repeats if it is .* at the end of the expression:
// InstRuneAny or InstRuneAnyNotNL. Otherwise it returns 0.
func (a *automaton) takesRest(pc uint32) syntax.InstOp {
	in := &a.insts[pc]
	if in.Op != syntax.InstAlt {
		return 0
	}
	for _, branch := range [][2]uint32{{in.Out, in.Arg}, {in.Arg, in.Out}} {
		body, after := &a.insts[branch[0]], &a.insts[branch[1]]
		if (body.Op == syntax.InstRuneAny || body.Op == syntax.InstRuneAnyNotNL) && body.Out == pc && after.Op == syntax.InstMatch {
			return body.Op
		}
	}
	return 0
}

// MaxCheckSteps bounds the steps of one check, over all patterns and all readings of its path. A step
// takes 2 to 6 ns, so a check stays under a millisecond.
const MaxCheckSteps = 100_000

// searchSteps is the cost of finding a rune in a class of characters, besides the step of the state
// that reads it.
const searchSteps = 2

// matching is the working memory of one check: its budget, and the states of the
// automaton that is being simulated.
type matching struct {
	left      int // steps that may still be taken; below 0, the check has given up
	now, next states
	stack     []uint32
	path      [512]byte // room for the normal form
}

// spend takes n steps out of the budget and reports whether there were as many. After that, nothing
// matches.
func (m *matching) spend(n int) (ok bool) {
	m.left -= n
	return m.left >= 0
}

// exhausted reports whether the check has given up. Its results must not be used then.
func (m *matching) exhausted() bool { return m.left < 0 }

// states is a sparse set of instructions (Briggs and Torczon, 1993): emptying it takes no
// time, and sparse needs no initial values.
type states struct {
	sparse, dense []uint32
	reading       []uint32 // the part of dense that takes the next rune
}

// reset empties the set and makes room for n instructions.
func (s *states) reset(n int) {
	if len(s.sparse) < n {
		s.sparse = make([]uint32, n)
	}
	s.empty()
}

func (s *states) empty() { s.dense, s.reading = s.dense[:0], s.reading[:0] }

// insert adds pc and reports whether it is new.
func (s *states) insert(pc uint32) bool {
	if i := s.sparse[pc]; int(i) < len(s.dense) && s.dense[i] == pc {
		return false
	}
	s.sparse[pc] = uint32(len(s.dense))
	s.dense = append(s.dense, pc)
	return true
}

// matches reports whether the whole text matches. It is false once the budget is used up.
func (a *automaton) matches(m *matching, text []byte) bool {
	if len(text) < len(a.prefix) || string(text[:len(a.prefix)]) != a.prefix {
		return false
	}
	list, pos, matched, done := a.walk(m, text, len(a.prefix))
	if done {
		return matched
	}
	m.now.reset(len(a.insts))
	m.next.reset(len(a.insts))
	if list == nil && a.enter(m, &m.now, a.start, text, pos) {
		return true
	}
	for _, pc := range list {
		if m.now.insert(pc) && a.arrive(&m.now, pc, text, pos) {
			return true
		}
	}
	for pos < len(text) && len(m.now.reading) > 0 {
		if !m.spend(len(m.now.reading)) {
			return false
		}
		r, width := rune(text[pos]), 1
		if r >= utf8.RuneSelf {
			r, width = utf8.DecodeRune(text[pos:])
		}
		pos += width
		m.next.empty()
		for _, pc := range m.now.reading {
			if r < utf8.RuneSelf {
				if a.ascii[pc][r/64]>>(r%64)&1 == 0 {
					continue
				}
			} else if m.left -= searchSteps; !takes(&a.insts[pc], r) {
				continue
			}
			if a.enter(m, &m.next, a.insts[pc].Out, text, pos) {
				return true
			}
		}
		m.now, m.next = m.next, m.now
	}
	return false
}

// walk reads text from pos on while at most one state takes each rune: the next states are then a list
// that exists already. done is false if more than one state takes a rune; then the simulation goes on
// in the states of list (nil: those at the start) from the returned position.
func (a *automaton) walk(m *matching, text []byte, pos int) (list []uint32, _ int, matched, done bool) {
	list = a.nearby[a.start]
	for list != nil {
		if !m.spend(len(list)) {
			return nil, pos, false, true
		}
		end := pos == len(text)
		var c byte
		if !end {
			c = text[pos]
		}
		if c >= utf8.RuneSelf {
			break
		}
		var next []uint32
		takers := 0
		for _, pc := range list {
			switch {
			case a.rest[pc] != 0 || end:
				if a.ends(pc, text, pos) {
					return nil, pos, true, true
				}
			case a.ascii[pc][c/64]>>(c%64)&1 != 0:
				next = a.nearby[a.insts[pc].Out]
				takers++
			}
		}
		if end || takers == 0 {
			return nil, pos, false, true
		}
		if takers > 1 || next == nil {
			break
		}
		list = next
		pos++
	}
	return list, pos, false, false
}

// reads reports whether an instruction of that kind takes a rune.
func reads(op syntax.InstOp) bool {
	switch op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

// takes reports whether an instruction that reads takes r.
func takes(in *syntax.Inst, r rune) bool {
	switch in.Op {
	case syntax.InstRune1:
		return r == in.Rune[0]
	case syntax.InstRuneAny:
		return true
	case syntax.InstRuneAnyNotNL:
		return r != '\n'
	}
	return in.MatchRune(r)
}

// asciiOf returns the ASCII characters that an instruction takes, one bit for each.
func asciiOf(in *syntax.Inst) (set [2]uint64) {
	first, last := rune(0), rune(utf8.RuneSelf-1)
	if in.Op == syntax.InstRune1 {
		first, last = in.Rune[0], min(last, in.Rune[0])
	}
	for r := first; r <= last; r++ {
		if takes(in, r) {
			set[r/64] |= 1 << (r % 64)
		}
	}
	return set
}

// maxNearby bounds the lists of reach, whose memory could otherwise grow with the square of the number
// of instructions.
const maxNearby = 4

// reach lists the instructions that read or match and can be reached from pc without reading. It
// returns nil if there are many, or if they depend on the text.
func (a *automaton) reach(pc uint32) (list []uint32) {
	if a.nearby[pc] != nil {
		return a.nearby[pc]
	}
	var met [4 * maxNearby]uint32
	stack, n := append(make([]uint32, 0, len(met)), pc), 0
	for len(stack) > 0 {
		pc, stack = stack[len(stack)-1], stack[:len(stack)-1]
		if slices.Contains(met[:n], pc) {
			continue
		}
		if n == len(met) {
			return nil
		}
		met[n], n = pc, n+1
		switch in := &a.insts[pc]; {
		case a.rest[pc] != 0 || in.Op == syntax.InstMatch || reads(in.Op):
			list = append(list, pc)
		case in.Op == syntax.InstAlt || in.Op == syntax.InstAltMatch:
			stack = append(stack, in.Arg, in.Out)
		case in.Op == syntax.InstEmptyWidth:
			return nil
		}
	}
	if len(list) > maxNearby {
		return nil
	}
	return list
}

// enter adds to set the instructions that can be reached from pc without reading, and reports whether
// the text matches already.
func (a *automaton) enter(m *matching, set *states, pc uint32, text []byte, pos int) (matched bool) {
	if list := a.nearby[pc]; list != nil {
		m.left -= len(list)
		for _, pc := range list {
			if set.insert(pc) && a.arrive(set, pc, text, pos) {
				return true
			}
		}
		return false
	}
	m.stack = append(m.stack[:0], pc)
	for len(m.stack) > 0 {
		pc := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		if !m.spend(1) {
			return false
		}
		if !set.insert(pc) {
			continue
		}
		if a.arrive(set, pc, text, pos) {
			return true
		}
		switch in := &a.insts[pc]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			m.stack = append(m.stack, in.Arg, in.Out)
		case syntax.InstEmptyWidth:
			if in.MatchEmptyWidth(around(text, pos)) {
				m.stack = append(m.stack, in.Out)
			}
		}
	}
	return false
}

// arrive lists pc for the next rune if it reads, and reports whether it ends a match.
func (a *automaton) arrive(set *states, pc uint32, text []byte, pos int) (matched bool) {
	if reads(a.insts[pc].Op) {
		set.reading = append(set.reading, pc)
		return false
	}
	return a.ends(pc, text, pos)
}

// ends reports whether text matches once pc has been reached at pos.
func (a *automaton) ends(pc uint32, text []byte, pos int) bool {
	if a.insts[pc].Op == syntax.InstMatch {
		return pos == len(text)
	}
	rest := a.rest[pc]
	return rest == syntax.InstRuneAny || rest == syntax.InstRuneAnyNotNL && bytes.IndexByte(text[pos:], '\n') < 0
}

// around returns the runes before and after a position, -1 for none.
func around(text []byte, pos int) (before, after rune) {
	before, after = -1, -1
	if pos > 0 {
		before, _ = utf8.DecodeLastRune(text[:pos])
	}
	if pos < len(text) {
		after, _ = utf8.DecodeRune(text[pos:])
	}
	return before, after
}
