// Package demo is the main job on an embedded default: a local Okta, an echo backend,
// Durward and a real Envoy, and the steps that show what they do together.
//
// Trust boundary: everything binds loopback, and the state directory (0700) holds
// tokens and a client secret that are good for the local Okta alone.
//
// It refuses to stand in for Envoy or Durward: each step goes through the same parts
// that run in production, and its outcome is compared with what is expected.
package demo
