//go:build broken

package crash

// The program is built with its faults, too: SIDEKEY_BROKEN names the one that acts.
const buildTags = "broken"
