// Package difference tells what two catalogues differ in about access: what may be
// called by whom that could not before, and the reverse.
//
// Trust boundary: both catalogues were compiled, and are the operator's; it prints what
// they hold, the ids of denied users included, and belongs to whoever may read them.
//
// Operations are compared by API, method and path template, applications by
// organization and name; scopes, claims, acr_values and ages by what they accept, rules
// by their text. What cannot be ordered is Changed, which counts as both directions, so
// that no access is gained unseen. Of gateways it compares which there are and which APIs
// they serve; of websockets how long they may last; of pages of other origins which may
// call, and how; of the authorities of an authorization server the file's name.
//
// The package does not look at which API or operation a request reaches where several
// match, at what gateways listen on and whose headers they believe (trusted_hops), at who
// asks us (listeners, foreign_envoy), at backends and what they are sent
// (forward_authorization), in files, nor at tokens: that an authorization server gives out
// other scopes is not in a catalogue.
package difference
