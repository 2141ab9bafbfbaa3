package api

// DatabaseReport is the answer of GET /api/check-db. Of a sound database with two users it is
// {Users: 2}, with empty lists.
type DatabaseReport struct {
	Users    int `json:"users"`
	Quotas   int `json:"quotas"`
	Policies int `json:"policies"`

	// Problems concern the file as a whole. If there is any, records may be missing or outdated, and
	// the file must not be used.
	Problems []string `json:"problems"`
	// Damaged are the records that do not match their checksums. They are never used; all others are
	// sound.
	Damaged []DamagedRecord `json:"damaged"`
}

// DamagedRecord is a record that does not match its checksum.
type DamagedRecord struct {
	Bucket  string `json:"bucket"` // "users", "quotas" or "policies"
	Org     string `json:"org,omitzero"`
	User    string `json:"user,omitzero"`
	Scope   string `json:"scope,omitzero"`  // of a quota
	Policy  string `json:"policy,omitzero"` // of a policy
	Problem string `json:"problem"`
}

// Compaction is the answer of POST /api/compact.
type Compaction struct {
	Before int64   `json:"before"`        // size of the database file, in bytes
	After  int64   `json:"after"`         // size of the database file, in bytes
	Pause  float64 `json:"pause_seconds"` // how long writers had to wait
}
