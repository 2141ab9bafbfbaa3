package httpsig

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"math"
	"slices"
	"sync"
)

// signatureKey identifies a signature.
type signatureKey [16]byte

// Spent remembers the signatures that were right, so that none is accepted twice. A signature
// is identified by 128 bits of SHA-256 over its owner and its MAC: how the request spells it
// does not matter, and no two are taken for one another.
//
// Its memory is bounded. Nothing is forgotten to make room: a signature that could not be
// remembered is not accepted. So that no user can take the room of all others, a user may hold
// at most as many places as are free: one user gets half of them, two users a third each, and
// a new user always finds some.
type Spent struct {
	max int

	mu     sync.Mutex // protects everything below
	since  int64      // Unix seconds: signatures dated before are refused
	held   int
	owners map[uint64]int
	spans  map[int64]*span // by date / spanSeconds
}

// span holds the signatures dated within spanSeconds. It is forgotten as a whole.
type span struct {
	spent  map[signatureKey]struct{}
	owners map[uint64]int
}

const spanSeconds = 15

// NewSpent returns a memory of at most max signatures. Each takes up to 100 bytes.
func NewSpent(max int) *Spent {
	return &Spent{max: max, owners: make(map[uint64]int), spans: make(map[int64]*span)}
}

// RefuseBefore refuses all signatures dated before a Unix second. A process must call it if it
// does not know which signatures the previous process accepted.
func (m *Spent) RefuseBefore(second int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.since = max(m.since, second)
}

// Outcome says whether a signature may be accepted.
type Outcome uint8

const (
	FirstUse    Outcome = iota // it may
	SpentBefore                // it is a replay, or cannot be told from one
	NoRoom                     // it could not be remembered
)

// Spend uses up a signature that is right and whose date is within skew of now, all in Unix
// seconds.
func (m *Spent) Spend(now, skew, date int64, o Owner, mac []byte) Outcome {
	key, id := makeKey(o, mac), binary.BigEndian.Uint64(o[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetLocked(now - skew)
	if date < m.since {
		return SpentBefore
	}
	s := m.spans[date/spanSeconds]
	if s != nil {
		if _, spent := s.spent[key]; spent {
			return SpentBefore
		}
	}
	if m.owners[id] >= m.max-m.held {
		return NoRoom
	}
	if s == nil {
		s = &span{spent: make(map[signatureKey]struct{}), owners: make(map[uint64]int)}
		m.spans[date/spanSeconds] = s
	}
	s.spent[key] = struct{}{}
	s.owners[id]++
	m.owners[id]++
	m.held++
	return FirstUse
}

// forgetLocked forgets the signatures dated before a Unix second. From then on they are refused
// because of their date, even if the clock is set back or the skew becomes larger.
func (m *Spent) forgetLocked(before int64) {
	before -= before % spanSeconds
	if before <= m.since {
		return
	}
	m.since = before
	for start, s := range m.spans {
		if start*spanSeconds >= before {
			continue
		}
		delete(m.spans, start)
		m.held -= len(s.spent)
		for id, n := range s.owners {
			if m.owners[id] -= n; m.owners[id] == 0 {
				delete(m.owners, id)
			}
		}
	}
}

func makeKey(o Owner, mac []byte) (key signatureKey) {
	var buf [len(o) + 64]byte
	n := copy(buf[:], o[:])
	n += copy(buf[n:], mac)
	sum := sha256.Sum256(buf[:n])
	copy(key[:], sum[:])
	return key
}

// savedSpent is a memory as it is handed over, after its SHA-256.
type savedSpent struct {
	Since int64
	Spans []savedSpan
}

type savedSpan struct {
	Start  int64
	Keys   []byte // concatenated
	Owners map[uint64]int
}

// HandOver returns all that is remembered. From then on m accepts no signature.
func (m *Spent) HandOver() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.since = math.MaxInt64 }()
	saved := savedSpent{Since: m.since}
	for start, s := range m.spans {
		keys := make([]byte, 0, len(s.spent)*len(signatureKey{}))
		for key := range s.spent {
			keys = append(keys, key[:]...)
		}
		saved.Spans = append(saved.Spans, savedSpan{start, keys, s.owners})
	}
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(saved); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body.Bytes())
	return append(sum[:], body.Bytes()...), nil
}

var errDamagedMemory = errors.New("the checksum does not match")

// TakeOver replaces the signatures of m with those that another memory has handed over. An error leaves
// m as it was.
func (m *Spent) TakeOver(data []byte) error {
	if len(data) < sha256.Size {
		return errDamagedMemory
	}
	body := data[sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], data[:sha256.Size]) {
		return errDamagedMemory
	}
	var saved savedSpent
	if err := gob.NewDecoder(bytes.NewReader(body)).Decode(&saved); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.since, m.held = saved.Since, 0
	m.owners, m.spans = make(map[uint64]int), make(map[int64]*span)
	for _, s := range saved.Spans {
		restored := &span{spent: make(map[signatureKey]struct{}, len(s.Keys)/len(signatureKey{})), owners: s.Owners}
		for key := range slices.Chunk(s.Keys, len(signatureKey{})) {
			restored.spent[signatureKey(key)] = struct{}{}
		}
		for id, n := range s.Owners {
			m.owners[id] += n
		}
		m.spans[s.Start] = restored
		m.held += len(restored.spent)
	}
	return nil
}
