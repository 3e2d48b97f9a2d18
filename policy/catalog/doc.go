// Package catalog turns a configuration into the one value that everything else works
// from: organizations, applications, APIs, grants and token policies, checked, with
// every name resolved. It also holds the words for what is wrong with a configuration:
// the closed table of findings DWnnn.
//
// A Catalogue is what decisions trust, so nothing gets into one by omission. Compile
// returns none as long as anything is missing that could be read as "everybody": an
// audience, a token policy, a scope, a form of grant. An operation is public only where
// it says so. Names, hosts and paths are compared as bytes after one normalisation,
// which requests go through too.
//
// Rules are CEL expressions over a durwardv1.RuleContext. They are typed, checked and
// bounded in cost when they are compiled; evaluating one reads its context and nothing
// else, and never panics.
//
// The package reads no files and knows no YAML: package source does. It does not ask
// Okta whether issuers, clients or scopes exist, and it never sees a secret, only the
// paths of secret files.
package catalog
