//go:build !race

package dpop

// raced says that the race detector is on, with which everything takes longer.
const raced = false
