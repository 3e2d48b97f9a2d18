package catalog

// tokenHelp explains the findings about tokens, Okta's servers and our clients there.
var tokenHelp = map[string]Help{
	verifyUnavailable: {
		`A token policy says how tokens are verified: introspection asks Okta about each one,
		jwt checks the signature here, both does one after the other. This policy names none
		of them, or wants signatures checked where that proves nothing: the tokens of an
		org's own server and those declared opaque are Okta's alone to read, and Okta vouches
		for no key with which others could check them.`,
		`Write verify: introspection, which works with every server; its answer also covers
		tokens that were revoked and users who were suspended. For jwt and both name a custom
		authorization server, whose issuer ends in /oauth2/ and its id.`,
	},
	badIssuer: {
		`The issuer is not an https URL, or holds a user, a query or a fragment. Everything
		that is believed about a token comes from this server, so it is asked over TLS only.
		Plain http is for a server on this machine, such as the one of durward emulate.`,
		`Copy the Issuer URI from the Okta console: Security, API, Authorization Servers. It
		looks like https://example.okta.com/oauth2/default. Of a custom domain take the form
		that stands in the iss claim of a real token.`,
	},
	issuerSlash: {
		`The issuer ends in a slash, and Okta's issuers do not. Issuers are compared letter by
		letter, as RFC 8414 and OpenID Connect demand, so every token would be refused with
		issuer_mismatch.`,
		`Remove the slash. The value is the same as the iss claim of a token, byte for byte;
		durward token shows the claim of one that you have.`,
	},
	issuerServer: {
		`The URL is that of no authorization server. A custom one of Okta has the issuer
		https://{domain}/oauth2/{server id}; the org's own has no path at all. What stands
		below that, such as /oauth2/v1 or /v1/token, are endpoints and not issuers.`,
		`Copy the Issuer URI of a custom authorization server; most orgs have one named default,
		with the issuer https://{domain}/oauth2/default. The org's own server can be
		introspected too, but its access tokens are for Okta's own APIs and carry no scopes
		of yours.`,
	},
	noAudience: {
		`The authorization server has no audience. It is the aud claim that says a token was
		made for your APIs; without that check a token for another service of the same server
		would be accepted here.`,
		`Write the Audience of the server as the Okta console shows it under Security, API,
		Authorization Servers, for example api://default. A custom authorization server of
		Okta has exactly one.`,
	},
	clientSecret: {
		`The client that asks Okta about tokens and the way it authenticates do not fit: there
		is no secret or key for a method that needs one, one that the method never uses, or a
		method that does not exist here. Okta refuses a client that authenticates in another
		way than it is registered with.`,
		`For a client with a secret, name client_secret_file; the method is client_secret_basic
		unless you write client_secret_post. For one with a public key at Okta write
		auth_method: private_key_jwt and private_key_file. For an application without either
		write auth_method: none and no file.`,
	},
	audienceIsClient: {
		`The audience is the client id of an application. ID tokens have exactly that as their
		audience: with this setting a proof of sign-in, meant for the application and often
		stored carelessly, would open your APIs as if it were an access token.`,
		`Write the audience of the authorization server, for example api://default, as it stands
		in the Okta console at the server itself. Access tokens carry it; ID tokens never do.`,
	},
	noIntrospection: {
		`Durward asks Okta whether a token is active, and Okta answers only a client that is
		registered in the org. The authorization server names none, or names one without its
		client id.`,
		`Register an application of the type API Services in the Okta console for the gateway
		alone, and write its client_id and client_secret_file under introspection. One such
		client serves every API; it needs no scope and no user.`,
	},
	SecretFile: {
		`A file with a client secret or a private key is missing, cannot be read, is empty or
		malformed, or somebody else than its owner can write or replace it. Whoever can do
		that decides under which identity Okta is asked, or who answers Envoy. A relative path
		counts from the directory of the file that names it.`,
		`Write the secret alone, on one line, or the key into the file, let the user that runs
		durward own it, and take the rights of others away with chmod 600; its directory must
		not be writable by everybody either. Where secrets are not at hand, as in a build,
		check without --secrets only warns of a missing one.`,
	},
	"DW310": {
		`A secret stands in the configuration itself, under a key of its own or in the place
		of a file's name. Configurations are reviewed, copied, committed and shown; a secret
		in one is known to all who ever saw it. What is printed of the line leaves it out.`,
		`Write the secret to a file that only the service reads and name that file with
		client_secret_file. If the configuration was committed or sent, the secret is no
		longer one: make a new one in the Okta console, on the application's General tab, and
		remove the old.`,
	},
	maxAgeTooLong: {
		`The max_age of a token policy is how old a fact learned from Okta may be when a
		decision rests on it. No fact is kept for more than an hour, and a revoked token would
		stay usable for as long as this says; a larger value promises what cannot be meant.`,
		`Write 1h or less. The default of 30s makes a revocation count within half a minute; 0s
		asks Okta for every request, for operations where that matters more than the call.`,
	},
	maxAgeUseless: {
		`The policy verifies tokens by their signature alone and still bounds the age of
		Okta's answers. Okta is never asked under verify: jwt, so the bound changes nothing,
		although it reads as if a revocation would be noticed within that time.`,
		`Remove max_age if a token may be used until it expires. If revocation must count
		earlier, let Okta be asked: write verify: both or verify: introspection and keep
		max_age.`,
	},
	ReadableSecret: {
		`Every user of this machine can read the file with the client secret or private key.
		With it they can ask Okta about any token in the name of the gateway, or answer Envoy
		in ours. Durward serves all the same, for some platforms mount secrets in this way
		into a container that has one user only.`,
		`Take the rights of others away with chmod 600, or 640 where durward reads by its group.
		On Kubernetes set defaultMode: 0400 on the secret's volume, and fsGroup if the
		container does not run as root.`,
	},
	issuerForm: {
		`An authorization server is known by its issuer, or by the list of all issuers that
		its tokens carry where Okta answers under several hosts, such as the org's and a custom
		domain. This entry writes both keys or neither, lists more than four, or two of them
		differ in their path and so are two servers with keys and tokens of their own.`,
		`Write issuer: with one URL, or issuers: with the same path under each host; the first
		is the one that is asked. Look at the iss claim of real tokens to see which occur. A
		second server becomes a second entry, with a token policy of its own.`,
	},
	leewayTooLong: {
		`Leeway is how far the clocks of Okta and of this machine may be apart when the times
		are judged before which a token is not valid. It never extends the time at which a
		token expires. Clocks that are kept by NTP differ by less than a second; more than five
		minutes would only hide one that is not kept at all.`,
		`Remove the key for the default of 30s, or write at most 5m. If tokens are refused as
		not yet valid, set the clock of this machine instead of the leeway.`,
	},
	tokensUnread: {
		`The entry sets how tokens are read from a server whose tokens are opaque: nothing in
		them is looked at before Okta is asked, so the key would change nothing although it
		reads as if it did. The org's own server always counts as such, whatever its tokens
		look like; Okta may change their form at any time.`,
		`Remove the key to leave the answer to Okta. If the server is a custom one that issues
		JWTs, remove tokens: opaque instead: then junk is refused without asking Okta, and
		token policies may verify signatures.`,
	},
	"DW317": {
		`The file holds no private key that can be used: it is neither PEM nor a JWK, is
		protected by a password, holds a certificate or several keys, or its key is of a kind
		that Okta does not take. With auth_method private_key_jwt this key signs every
		question to Okta; under tls it proves to Envoy who answers.`,
		`For Okta make an RSA key of 2048 bits or an EC key on P-256, for example with openssl
		genpkey, and register its public half at the application; Okta's console also makes
		one and shows it once as a JWK. The key of a listener is PEM, without a password.`,
	},
	"DW318": {
		`A file with certificates is missing, cannot be read, holds none in PEM or one that does
		not parse, belongs to another key, or can be written by somebody else than its owner.
		Whoever can change the authorities that are trusted can stand between Durward and
		Okta, or call the listener as if they were Envoy.`,
		`Put the certificates into the file as PEM, our own first and the intermediate ones
		behind it, and let its owner alone write it. After a renewal look whether key_file was
		replaced too: openssl x509 -noout -pubkey and openssl pkey -pubout print the same for
		the two.`,
	},
	badClaim: {
		`A claim is called by its name, or by the names on the way to it where it stands in an
		object, joined by dots. Here a name is empty: at an end, between two dots, or
		altogether; or more names lead to it than any token has levels.`,
		`Write for example email, or address.country for the member of an object. Look at a token
		of your own to see what is there: durward token shows its claims. A claim whose own name
		has a dot can be reached in a rule, by token.claims["a.b"].`,
	},
	claimForm: {
		`A required claim says what it must be in one of three ways: equals one value, one_of
		several, or contains a value where the claim is a list. This one writes none of them,
		more than one, or a value that is neither text, number nor boolean. Nothing or
		everything could satisfy it.`,
		`Write one of the three. Two conditions on one claim are two entries, and both must hold.
		For anything else, such as a comparison or a pattern, write a rule.`,
	},
	badRule: {
		`A rule is an expression in CEL, the Common Expression Language, that is true or false.
		This one does not parse, uses a name or a function that does not exist, compares values
		of different types, or has another result. Regular expressions and time zones are
		constants, so that what an evaluation costs is known beforehand.`,
		`Correct the place that the finding names as line:column within the rule. Rules know
		token, request, application and api; other claims are below token.claims, whose type is
		only known from the token, so compare them: token.claims.admin == true. A time zone is
		an offset, as in getHours("+01:00").`,
	},
	costlyRule: {
		`A rule is evaluated for every request, and this one could keep a processor busy for
		long: it looks at a list for each item of another, or at a long text for each item. The
		estimate takes every list and text to be as large as a token allows, for callers choose
		them.`,
		`Look at each list once: "admin" in token.groups, or sets.intersects(token.groups, ["a",
		"b"]) with constants. Compare texts in place of taking them apart. What several rules
		ask can stand at the token policy, the API and the operation, one part each.`,
	},
	acrConflict: {
		`The acr_values of the token policy, the API and the operation must all hold, and they
		have no value in common. No sign-in would ever do, so every caller would be sent to sign
		in again, for nothing.`,
		`Repeat at the API or operation those values of the token policy that are strong enough
		there. Okta's classes have no order by themselves: a list names every class that is
		accepted, the stronger ones too.`,
	},
}
