// Package scaffold writes the first configuration: the demo's catalogue with its policy
// tests, for the local Okta or for an org of the reader's own, and says what an org's administrator has to
// enter in Okta's console for it.
//
// It asks nothing of any server, and overwrites nothing. A client secret is made for the
// local Okta alone; for an org it makes an empty private file that the secret is pasted
// into. What only the reader's org knows is left empty, which every reader of the
// configuration reports with its place: nothing that is missing looks as if it were there.
package scaffold
