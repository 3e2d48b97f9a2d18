//go:build race

package serve

// raced says that the race detector is on, with which everything takes longer.
const raced = true
