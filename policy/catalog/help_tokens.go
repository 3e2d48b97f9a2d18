package catalog

// tokenHelp explains the findings about tokens, Okta's servers and our clients there.
var tokenHelp = map[string]Help{
	verifyUnavailable: {
		`A token policy says how tokens are verified: introspection asks Okta about each one,
		jwt checks the signature here, both does one after the other. This version does
		introspection only, and a policy that names another way, or none, is refused instead
		of being weakened to what is there.`,
		`Write verify: introspection. Its answer also covers tokens that were revoked and users
		who were suspended, which a signature alone cannot show; max_age bounds how often
		Okta is asked.`,
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
		`The URL is not that of a custom authorization server. An issuer without /oauth2/ is
		the org authorization server: its access tokens are for Okta's own APIs, carry no
		scopes of yours and no audience but Okta, and Okta asks everybody to treat them as
		opaque.`,
		`Use a custom authorization server; most orgs have one named default, with the issuer
		https://{domain}/oauth2/default. Custom servers belong to API Access Management. A new
		server needs an access policy and a rule before it issues any token.`,
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
		is no secret for a method that needs one, a secret for a public client, or a method
		that does not exist here. Okta refuses a client that authenticates in another way
		than it is registered with.`,
		`For a service or web application of Okta, name client_secret_file; the method is
		client_secret_basic unless you write client_secret_post. For an application without a
		secret write auth_method: none and no file.`,
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
		`The file with the client secret is missing, cannot be read, is empty or malformed, or
		somebody else than its owner can write or replace it. Whoever can do that decides
		under which identity Okta is asked. A relative path counts from the directory of the
		file that names it.`,
		`Write the secret, and nothing else, into the file on one line, let the user that runs
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
		`Every user of this machine can read the file with the client secret. With it they can
		ask Okta about any token in the name of the gateway. Durward serves all the same, for
		some platforms mount secrets in this way into a container that has one user only.`,
		`Take the rights of others away with chmod 600, or 640 where durward reads by its group.
		On Kubernetes set defaultMode: 0400 on the secret's volume, and fsGroup if the
		container does not run as root.`,
	},
}
