package auth_test

import (
	"testing"

	"sidekey/auth"
	"sidekey/store/storetest"
)

// The store of this package's tests keeps what a store promises of quotas.
func TestMemoryIsAStore(t *testing.T) {
	storetest.RunQuotas(t, func(*testing.T) storetest.QuotaStore { return auth.NewMemory() })
}
