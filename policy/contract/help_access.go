package contract

// tokenHelp explains denials of the token itself.
var tokenHelp = map[Reason]Help{
	TokenMissing: {
		`The operation is protected and the request brought no access token: the Authorization
		header is missing or has another scheme, such as Basic. Some client libraries drop the
		header when they follow a redirect to another host.`,
		`Sign the user in at Okta with the authorization code flow and PKCE, then send the access
		token as Authorization: Bearer. To try it by hand, durward login fetches a token for an
		application and durward call sends it. An operation that needs no token says public:
		true.`,
	},
	TokenMalformed: {
		`What stands behind Bearer is not an access token that could be verified: it is cut off or
		damaged on the way, it contradicts itself (two different values for its scopes or its
		client), or Okta's answer about it lacks a claim that every access token has.`,
		`Send the access token exactly as Okta returned it, without quotes, line breaks or added
		padding. Check that the client does not send a refresh token or an authorization code by
		mistake; durward token shows in words what a token is.`,
	},
	TokenNotYetValid: {
		`The token says that it becomes valid or was issued in the future, by more than the 30
		seconds that clocks may differ. The clock of this machine is behind, or the token was
		made to be used later.`,
		`Compare the time of the machine that runs Durward with a time server; in virtual machines
		it often stands still during a pause. Nothing needs to change in Okta, whose clocks are
		right.`,
	},
	SignatureInvalid: {
		`The token's signature does not fit any key that the authorization server publishes. The
		token was changed, comes from another server or another org, or is an access token of the
		org authorization server, which is not meant for your APIs.`,
		`Get a new token from the issuer that the API's token policy names. Keys are fetched anew
		when a token names one that is not known, so a key rotation in Okta needs no action here.`,
	},
	IssuerMismatch: {
		`The token is from another authorization server than the one that the API's token policy
		names. Issuers are compared byte by byte: another server id, a custom domain on one side
		only, or a slash at the end make two different issuers.`,
		`Compare the iss claim, which durward token shows, with issuer in the configuration. Let
		the application sign in at that server, or correct the configuration. Where an org has a
		custom domain, the server's issuer mode in the Okta console decides which form tokens
		carry.`,
	},
	AudienceMismatch: {
		`The token is from the right server, but its audience is not the one of your APIs. It was
		made for another service. An ID token has the client id as its audience and opens
		nothing, however valid it is.`,
		`Compare the aud claim with audience in the configuration; in the Okta console it is the
		Audience of the authorization server. Make sure that the client sends its access_token
		and not its id_token.`,
	},
	TokenTypeWrong: {
		`The token is genuine but of a kind that opens no API here: an ID token, a refresh token,
		or a token that an application got for itself, without a user, where the policy is about
		users.`,
		`Send the access token of a signed-in user: the one that Okta returns as access_token in
		the authorization code flow. Client credentials tokens work only where the token policy
		admits them.`,
	},
	BindingMismatch: {
		`The token is bound to a key of its owner, and the request does not show that key. A bound
		token came under Bearer as if it were free, or an unbound one under DPoP, or the proof is
		made with another key; stolen tokens look like this. Or the token is bound to a client
		certificate (cnf with x5t#S256): Okta does not issue such tokens, and none is accepted.`,
		`Send a token that is bound by DPoP with the scheme DPoP and a proof made with the same key
		as at sign-in, and every other token with Bearer. In Okta the application's setting for
		proof of possession decides which tokens are bound; change both sides together. A token
		that is bound to a certificate comes from elsewhere: sign in at Okta.`,
	},
	TokenExpired: {
		`The token's time is over. It is not extended by a single second, for Okta would not accept
		it either. The caller only reads token_inactive, the same as for a revoked token.`,
		`Get a new token: with the refresh token if the application asked for offline_access, else
		by signing in again. How long an access token lives is set by the rule of the server's
		access policy in the Okta console, between five minutes and a day.`,
	},
	TokenInactive: {
		`Okta says that the token is not active and gives no details. It has expired or was
		revoked; its user was suspended or lost the application; its application was switched
		off; or it was never a token of this server.`,
		`Let the user sign in again. If a fresh token is inactive too, look in Okta's System Log
		for the user and the application, and check that client_id and issuer of the
		introspection client belong to the server that issued the token: a server knows its own
		tokens only.`,
	},
	TokenRevoked: {
		`The token was denied here before its time: an entry under denials in the configuration
		names its user id, its client id or its own jti. Okta may still call it active. The caller
		only reads token_inactive, so that nobody learns which of a user's tokens were noticed.`,
		`The log line and durward explain give the reason that was written with the denial, and
		explain its place. Remove the entry, or let its until pass, and the next generation of the
		configuration admits what else may pass; a denial never lets anybody in. Revoke at Okta as
		well where the sign-in itself must end.`,
	},
	ProofInvalid: {
		`The request brought no DPoP proof, or one that does not hold: its signature is wrong, it is
		for another method, URL or token, too old, from the future, or was used before. A proof is
		good for one request only. Each replica remembers the proofs that it has seen, in its own
		memory; so the same proof may pass once at each of several replicas.`,
		`Make a new proof for each request, retries too, with the method and the URL as the caller
		sees them, without the query, a fresh jti, the current time and the hash of the token.
		Behind a load balancer, name the URLs that clients use under frontend.external. Where one
		use among all replicas matters, send a client's requests to the same one.`,
	},
	StepUpRequired: {
		`The token is good, but this operation asks for a stronger or more recent sign-in than the
		one behind it. The WWW-Authenticate header names what is needed in acr_values, in max_age
		in seconds, or in both, as RFC 9470 describes. A token without auth_time counts as too
		old, and one without acr as reaching no level.`,
		`Let the application send its user to Okta again with these values in the authorization
		request. The Okta policy must be able to reach that level, with a second factor for
		instance. A refreshed token keeps the time and the level of its first sign-in. The levels
		stand under acr_values and max_auth_age of the token policy, API and operation.`,
	},
}

// accessHelp explains denials of callers whose token is good.
var accessHelp = map[Reason]Help{
	ClientUnknown: {
		`The token is good, but the client id in it belongs to no application of the
		configuration. Being registered in Okta is not enough: somebody must have said to which
		organization the application belongs.`,
		`Declare the application under its organization with the client id that the log shows,
		then grant it the API. If it should be known already, compare the ids letter by letter:
		capitals count.`,
	},
	ApplicationDisabled: {
		`The application, or the organization that owns it, says enabled: false in the
		configuration. Its tokens stay valid in Okta but open nothing here, from the next
		generation of the configuration on: that stops access at once without touching Okta.`,
		`Ask whoever switched it off, since that is rarely done without a cause; durward explain
		shows which of the two it is, and where. To let it in again, remove enabled: false from the
		application or its organization. Grants were kept and need not be written again.`,
	},
	GrantMissing: {
		`The application is known but has no access to this API. Access has two levels and needs
		both: the organization is granted the API, and the application is one of those that may
		call, or all of them may.`,
		`Add the application to the grant of its organization for this API, or write that grant if
		there is none. durward explain --as with the application's name shows which of the two
		levels is missing and where the grant stands.`,
	},
	ScopeMissing: {
		`The token does not hold the scopes that the operation requires; the WWW-Authenticate
		header names them. The application did not ask for them at sign-in, the user was not
		allowed them, or consent was refused. Scopes are compared whole and capitals count.`,
		`Ask for the scopes when the user signs in; a token never gains any later. In the Okta
		console each must exist at the authorization server, under Scopes, and the access policy
		must have a rule that admits them for this application and user.`,
	},
	ClaimMismatch: {
		`The caller's token does not hold the claims that the token policy, the API or the operation
		requires, or one of their rules is false. A rule that fails, because it reads a claim that
		the token lacks, counts as false. Or the identity headers would be larger than 8 KiB, which
		is refused instead of cut.`,
		`Run durward explain with the token: it names the claim or the rule, its place, and what the
		token has instead. In Okta a claim is added at the authorization server, under Claims, for
		the access token, and groups must be filtered to fit. A rule that reads an optional claim
		must ask for it with has() first.`,
	},
}
