//go:build !broken

package crash

const buildTags = ""
