package auth

// NewMemory is newMemory for tests of the contract of a store, which is in a package that
// imports this one.
var NewMemory = newMemory
