package proxies

import (
	"os"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
)

func TestMain(m *testing.M) { os.Exit(sidekeytest.Main(m)) }
