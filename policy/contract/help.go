package contract

import "strings"

// Help explains a denial to whoever runs the gateway or calls it: a paragraph on how it
// comes about, and one on the way out. Both are plain text on one line.
type Help struct{ Cause, Fix string }

// Help returns the explanation of r. A test holds that every reason has one of its own;
// what is no reason has none.
func (r Reason) Help() Help {
	for _, texts := range []map[Reason]Help{requestHelp, tokenHelp, accessHelp, outageHelp} {
		if h, ok := texts[r]; ok {
			return Help{oneLine(h.Cause), oneLine(h.Fix)}
		}
	}
	return Help{}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// requestHelp explains denials that no token could change.
var requestHelp = map[Reason]Help{
	RequestMalformed: {
		`The request could be read in more than one way, so it is not judged at all. It carries
		two Authorization headers, a token in the header and in the query, a token that is too
		long or holds characters that no token has, or a path, host or method that proxies and
		servers do not read alike, such as an encoded slash.`,
		`Send one Authorization header with the word Bearer, one blank and the token, and nothing
		else; tokens never go into the URL. Write the path in its plain form, without dot
		segments, doubled slashes and needless percent-encoding. A client library that adds a
		header of its own is the usual culprit.`,
	},
	APIUnknown: {
		`No API is published at this host and path. The caller mistyped the URL, or the API is
		declared for another host or base path than the one that is called. Envoy sends such
		requests to Durward too, so that nothing behind the gateway answers unasked.`,
		`Compare the host and the path with the frontend of the API; durward explain with the
		method and the URL says what is published there. After a change of the configuration,
		look in /readyz?verbose or the log whether it was accepted and reached Envoy.`,
	},
	OperationUnknown: {
		`The API exists and the caller may use it, but it has no operation for this path (404) or
		not with this method (405; the Allow header lists those it has). Only declared operations
		answer. A last slash counts, and HEAD is an operation of its own.`,
		`Call a path and a method that the API declares, or declare the operation with its scopes
		in the configuration. The most specific path is chosen first and the method is looked for
		there alone, so a method may be missing at /search although /{id} has it.`,
	},
}

// outageHelp explains denials that are not the caller's fault.
var outageHelp = map[Reason]Help{
	OktaUnavailable: {
		`Okta had to be asked about the token and did not give a usable answer in time: it could
		not be reached, failed, sent something that is no introspection reply, or refused the
		gateway's own client. Without the answer nobody can tell whether the token is good, so
		the request is refused, but not as if the caller had done wrong.`,
		`Look in the log for what Okta said. A 401 to the gateway means that client_id, secret or
		auth_method in the configuration do not match the application in Okta, for example after
		the secret was rotated. Else check DNS, proxies and firewalls between Durward and the
		issuer, and status.okta.com. The caller may repeat the request after Retry-After.`,
	},
	OktaRateLimited: {
		`Okta has answered that too many requests came from your org, and is left alone until the
		limit resets. All custom authorization servers of an org share one limit, so another
		program that introspects tokens can use it up too.`,
		`Raise max_age of the token policy, so that an answer serves more requests; look under
		Reports, Rate Limits in the Okta console for who uses the endpoint; and ask Okta for a
		higher limit if the traffic is real. The caller may repeat the request after Retry-After.`,
	},
	Overloaded: {
		`More requests wait for a decision than Durward takes on at once, and this one was turned
		away at once instead of timing out. Usually Okta answers slowly, so that decisions pile
		up, or a client sends tokens in bulk that nobody has seen before.`,
		`Look at the duration of Okta's answers in the metrics, and at which API and application
		the requests come from. Add replicas or raise max_age if the load is legitimate. The
		caller may repeat the request after Retry-After.`,
	},
	Internal: {
		`Durward failed to judge the request and refused it for that reason. This is a defect in
		the program or a configuration that changed under it, never something the caller can
		mend. The log holds the details under the decision id that the caller was given.`,
		`Search the log for the decision id in the x-decision-id header and look what happened
		just before. Report it with the version, the reason and the log lines around it; tokens
		are not in them.`,
	},
}
