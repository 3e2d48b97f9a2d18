//go:build race

package jwt

// raced says that the race detector is on, with which everything allocates more.
const raced = true
