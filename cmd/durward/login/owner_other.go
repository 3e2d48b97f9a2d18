//go:build !linux

package login

// owner needs Linux's /proc.
func owner(int) string { return "another program" }
