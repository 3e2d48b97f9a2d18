// Package policytest reads policy tests, which are YAML files beside a catalogue, and runs
// them: each case is one request by a caller whose token is given, and what is expected of
// its decision.
//
// It never judges: policy.Decide does, by the catalogue that serve would load. The API of a
// request is found as the gateway's routes find it. Nothing is sent, no signature is made or
// checked and no clock is read but the tests' own: what a test says of a token is taken for
// what the authorization server answers, and what serve compares of an answer is compared;
// a proof of possession is taken for good. So a test shows what the catalogue decides about
// claims, not that a token is genuine.
//
// Trust boundary: the files are text of a person who may be mistaken. Package source reads
// them as strictly as a catalogue. What Envoy does to a path before it asks is not repeated:
// a path is judged as it is written.
package policytest
