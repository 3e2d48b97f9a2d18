// Package call sends one request through a gateway and tells who answered it: the
// backend after an allow, Durward with a denial, or Envoy itself.
//
// Trust boundary: an answer is whatever reached us from the gateway's address. A denial
// is believed if it has all its marks, so a backend that copies them all can pass one
// off; nothing is decided by it but what is printed. Answers are capped in size, and
// Printable takes out what would steer a terminal.
//
// It follows no redirect, sends the token to no host but the gateway, and retries
// nothing.
package call
