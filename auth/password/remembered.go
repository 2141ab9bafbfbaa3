package password

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"hash/maphash"
	"sync/atomic"
	"time"
)

// Remembered is the memory of the last password that was right. It belongs to one
// compiled account and ends with it, so an edit forgets it by construction. Its key is
// drawn for that account alone, so nothing that another account or process remembers can
// match. The password itself is not kept.
type Remembered struct {
	key  [16]byte
	last atomic.Pointer[Verified]
}

// Init draws the key. Call it once, before anything is remembered.
func (r *Remembered) Init() {
	if _, err := rand.Read(r.key[:]); err != nil {
		panic("BUG: the system's random source failed: " + err.Error())
	}
}

// TakeOver makes r remember what another account of the same user, with the same hash, does.
func (r *Remembered) TakeOver(before *Remembered) {
	r.key = before.key
	r.last.Store(before.last.Load())
}

// Verified is a password that was right. It stays after its time is over: then it lets
// no request in, but says that the next comparison with the hash will succeed.
//
// It fills a cache line, which is what the warm path waits for.
type Verified struct {
	digest [24]byte      // the first of SHA-256's: for one account and one password
	until  atomic.Int64  // limiter.Now.Mono; needs no comparison with the hash before
	proved atomic.Int64  // when it was last compared with the hash
	from   Networks      // that it was right from
	client atomic.Uint64 // hash of an address in one of them: almost all users have one, which need not be parsed
}

// clientSeed makes the hashes of addresses this process's own.
var clientSeed = maphash.MakeSeed()

// Renewals is how many times verified_ttl a password in use is remembered at most, before it
// is compared with the hash again.
const Renewals = 12

// Find returns what is remembered of a password, whether or not its time is over, or nil if
// it is not the last one that was right.
func (r *Remembered) Find(password []byte) *Verified {
	v := r.last.Load()
	if v == nil || len(password) > MaxPassword {
		return nil
	}
	digest := r.digest(password)
	if subtle.ConstantTimeCompare(digest[:], v.digest[:]) != 1 {
		return nil
	}
	return v
}

// Knows reports whether password was right and its time is not over.
func (r *Remembered) Knows(password []byte, mono int64) bool {
	v := r.Find(password)
	return v != nil && v.Holds(mono)
}

// Holds reports whether the time of the password is not over.
func (v *Verified) Holds(mono int64) bool { return mono < v.until.Load() }

// KnowsClient reports whether the client is in a network that the password was right from.
func (v *Verified) KnowsClient(client []byte) bool {
	return v.client.Load() == maphash.Bytes(clientSeed, client) || v.from.Has(client)
}

// Learn remembers a password that has just been compared with the hash and was right.
// Callers never learn a wrong one.
func (r *Remembered) Learn(password []byte, mono int64, ttl time.Duration, client []byte) {
	digest := r.digest(password)
	for {
		v := r.last.Load()
		if v != nil && v.digest == digest {
			v.proved.Store(mono)
			v.until.Store(mono + int64(ttl))
			v.CameFrom(client)
			return
		}
		next := &Verified{digest: digest}
		next.proved.Store(mono)
		next.until.Store(mono + int64(ttl))
		next.CameFrom(client)
		if r.last.CompareAndSwap(v, next) {
			return
		}
	}
}

// CameFrom notes a client whose password was right.
func (v *Verified) CameFrom(client []byte) {
	v.from.Add(client)
	v.client.Store(maphash.Bytes(clientSeed, client))
}

// Renew prolongs the time of a password that a known client uses, up to [Renewals] times ttl
// after it was compared with the hash. It writes twice per ttl at most: all requests of a
// user share this.
func (v *Verified) Renew(mono int64, ttl time.Duration, client []byte) {
	until := v.until.Load()
	if until-mono > int64(ttl)/2 {
		return
	}
	if last := v.proved.Load() + Renewals*int64(ttl); until < last {
		if v.until.CompareAndSwap(until, min(mono+int64(ttl), last)) {
			v.client.Store(maphash.Bytes(clientSeed, client))
		}
	}
}

// digest is SHA-256 over the account's key and the password. The key comes first
// and has one length, and digests are never shown, so plain SHA-256 serves.
func (r *Remembered) digest(password []byte) [24]byte {
	keyed := make([]byte, 0, len(r.key)+96) // on the stack; a longer password, which bcrypt does not read, is not
	keyed = append(keyed, r.key[:]...)
	sum := sha256.Sum256(append(keyed, password...))
	return [24]byte(sum[:])
}

// Networks are those that a user's credentials were right from. Failures of others never
// refuse right credentials from one of these. There are [maxNetworks] at most; the one that
// has been there longest leaves for the next. Only right credentials add one, so a stranger
// cannot displace any. Almost all users have one.
type Networks struct {
	first atomic.Uint64
	more  atomic.Pointer[[]network] // never changed once it is there
}

// maxNetworks bounds the memory of a user whose networks never end: 0.5 KB.
const maxNetworks = 64

// Has reports whether the network of a client's address is one of them.
func (s *Networks) Has(client []byte) bool { return s.has(originOf(client).network()) }

func (s *Networks) has(n network) bool {
	if s.first.Load() == uint64(n) {
		return true
	}
	return s.hasMore(n)
}

func (s *Networks) hasMore(n network) bool {
	more := s.more.Load()
	if more == nil {
		return false
	}
	for _, one := range *more {
		if one == n {
			return true
		}
	}
	return false
}

// Add adds the network of a client whose credentials were right.
func (s *Networks) Add(client []byte) { s.add(originOf(client).network()) }

func (s *Networks) add(n network) {
	if s.has(n) || s.first.CompareAndSwap(0, uint64(n)) {
		return
	}
	for !s.has(n) {
		before := s.more.Load()
		var after []network
		if before != nil {
			after = append(after, (*before)[max(0, len(*before)-(maxNetworks-2)):]...)
		}
		after = append(after, n)
		s.more.CompareAndSwap(before, &after)
	}
}
