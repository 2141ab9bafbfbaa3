package auth

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

// signatureKey is what a signature is known by.
type signatureKey [16]byte

// SpentSignatures remembers the signatures that were right, so that none is accepted
// twice. A signature is known by 128 bits of SHA-256 over its owner and its MAC: how the
// request spells it does not matter, and no two are taken for one another.
//
// Its memory is bounded. Nothing is forgotten to make room: a signature that could not
// be remembered is not accepted. So that nobody can use up everybody's room, a user may
// hold as many places as are free and no more: one user gets half of them, two get a
// third each, and whoever comes always finds some.
type SpentSignatures struct {
	decoy *signer
	most  int

	mu     sync.Mutex // protects everything below
	since  int64      // Unix seconds: what is dated before is not vouched for
	held   int
	owners map[uint64]int
	spans  map[int64]*span // by date / spanSeconds
}

// span holds what is dated within some seconds. It is forgotten as a whole.
type span struct {
	spent  map[signatureKey]struct{}
	owners map[uint64]int
}

const spanSeconds = 15

// NewSpentSignatures returns a memory of at most that many signatures. One takes up to
// 100 bytes.
func NewSpentSignatures(most int) *SpentSignatures {
	return &SpentSignatures{decoy: newDecoy(), most: most, owners: make(map[uint64]int), spans: make(map[int64]*span)}
}

// RefuseBefore refuses all signatures dated before a Unix second. A process that does
// not know what the one before it has accepted has to.
func (m *SpentSignatures) RefuseBefore(second int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.since = max(m.since, second)
}

type spending uint8

const (
	firstUse spending = iota
	spentBefore
	noRoom
)

// spend uses up a signature that is right and whose date is within skew of now, all in
// Unix seconds. One that cannot be told from a replay counts as spent.
func (m *SpentSignatures) spend(now, skew, date int64, o owner, mac []byte) spending {
	key, id := makeKey(o, mac), binary.BigEndian.Uint64(o[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetLocked(now - skew)
	if date < m.since {
		return spentBefore
	}
	s := m.spans[date/spanSeconds]
	if s != nil {
		if _, spent := s.spent[key]; spent {
			return spentBefore
		}
	}
	if m.owners[id] >= m.most-m.held {
		return noRoom
	}
	if s == nil {
		s = &span{spent: make(map[signatureKey]struct{}), owners: make(map[uint64]int)}
		m.spans[date/spanSeconds] = s
	}
	s.spent[key] = struct{}{}
	s.owners[id]++
	m.owners[id]++
	m.held++
	return firstUse
}

// forgetLocked forgets what is dated before a Unix second. From then on it is refused
// for its date, also where the clock is set back or the skew made larger.
func (m *SpentSignatures) forgetLocked(before int64) {
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

func makeKey(o owner, mac []byte) (key signatureKey) {
	var buf [len(o) + 64]byte
	n := copy(buf[:], o[:])
	n += copy(buf[n:], mac)
	sum := sha256.Sum256(buf[:n])
	copy(key[:], sum[:])
	return key
}

// savedSpent is a memory as it is handed over, behind its SHA-256.
type savedSpent struct {
	Since int64
	Spans []savedSpan
}

type savedSpan struct {
	Start  int64
	Keys   []byte // one behind the other
	Owners map[uint64]int
}

// HandOver returns all that is remembered. From then on no signature is accepted here.
func (m *SpentSignatures) HandOver() ([]byte, error) {
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

// TakeOver puts what another memory has handed over in the place of what this one
// remembers. An error leaves it as it was.
func (m *SpentSignatures) TakeOver(data []byte) error {
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
