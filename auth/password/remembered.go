package password

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"hash/maphash"
	"sync/atomic"
	"time"
)

// Remembered is the memory of the last password that was right. It belongs to one compiled account and
// ends with it, so an edit of the user forgets it by construction. Its key is drawn for that account
// alone, so nothing that another account or process remembers can match. The password itself is not
// kept. Call Init before anything else; after that it is safe for concurrent use.
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

// TakeOver makes r remember the password that another account of the same user, with the same hash,
// remembers.
func (r *Remembered) TakeOver(before *Remembered) {
	r.key = before.key
	r.last.Store(before.last.Load())
}

// Verified is a password that was right. It stays when its time is over: it admits no request then,
// but shows that the next comparison with the hash will succeed.
//
// With a verified_ttl of 5 minutes, a password that was hashed at 12:00 holds until 12:05. A client
// that uses it at 12:03 from a network that it was right from renews it until 12:08, and so on until
// 13:00, [Renewals] times the TTL after the hash.
//
// It fills one cache line, which the warm path waits for.
type Verified struct {
	digest [24]byte      // the start of a SHA-256: for one account and one password
	until  atomic.Int64  // limiter.Now.Mono; until then it need not be compared with the hash
	proved atomic.Int64  // when it was last compared with the hash
	from   Networks      // that it was right from
	client atomic.Uint64 // hash of an address in one of them: most users have only one, and it need not be parsed
}

// clientSeed makes the hashes of addresses this process's own.
var clientSeed = maphash.MakeSeed()

// Renewals bounds how long a password in use is remembered before it is compared with the hash again,
// as a multiple of verified_ttl.
const Renewals = 12

// Find returns what is remembered of a password, even if its time is over. It is nil unless this is
// the last password that was right.
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

// CameFrom adds the network of a client whose password was right.
func (v *Verified) CameFrom(client []byte) {
	v.from.Add(client)
	v.client.Store(maphash.Bytes(clientSeed, client))
}

// Renew prolongs the time of a password that a known client uses, up to [Renewals] times ttl after it
// was compared with the hash. It writes twice per ttl at most, because all requests of a user share
// this memory.
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

// digest is SHA-256 over the account's key and the password. The key comes first and has one length,
// and digests are never shown, so plain SHA-256 is enough.
func (r *Remembered) digest(password []byte) [24]byte {
	keyed := make([]byte, 0, len(r.key)+96) // on the stack; a longer password, which bcrypt does not read, is not
	keyed = append(keyed, r.key[:]...)
	sum := sha256.Sum256(append(keyed, password...))
	return [24]byte(sum[:])
}
