module sidekey

go 1.26

require (
	github.com/go-json-experiment/json v1.27.2
	golang.org/x/crypto v0.55.0
)
