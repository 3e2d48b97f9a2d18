package catalog

// Rule is one entry of the closed table of findings.
type Rule struct {
	// Code is DWnnn: DW0 the text and its schema, DW1 names, references and denials,
	// DW2 APIs and headers, DW3 tokens, what is asked of them, and Okta, DW4 gateways
	// and listeners.
	Code     string
	Severity Severity
	// Title is what the finding is about; Fix what to do where the finding itself
	// knows nothing better.
	Title, Fix string
}

// Codes of the findings of this package. The DW0 codes are package source's, but that
// Compile must refuse text too which no file can hold, and words that are not of a
// closed set where it would have to guess.
const (
	brokenRule         = "DW006"
	badText            = "DW012"
	badName            = "DW101"
	danglingReference  = "DW102"
	duplicateName      = "DW103"
	duplicateClient    = "DW104"
	foreignApplication = "DW105"
	grantForm          = "DW106"
	duplicateGrant     = "DW107"
	denialForm         = "DW108"
	duplicateDenial    = "DW109"
	uselessDenial      = "DW110"
	noTokenPolicy      = "DW201"
	noOperations       = "DW202"
	noScopes           = "DW203"
	publicProtected    = "DW204"
	twoScopeLists      = "DW205"
	emptyScopes        = "DW206"
	badTemplate        = "DW207"
	ambiguousOperation = "DW208"
	duplicateFrontend  = "DW209"
	badBasePath        = "DW210"
	badHost            = "DW211"
	badBackend         = "DW212"
	uselessTLS         = "DW213"
	gatewayBackend     = "DW214"
	metadataBackend    = "DW215"
	badHeaderPrefix    = "DW216"
	headerTwice        = "DW217"
	badOrigin          = "DW218"
	badExternal        = "DW219"
	metadataWhere      = "DW220"
	metadataTaken      = "DW221"
	backendForm        = "DW222"
	backendsDiffer     = "DW223"
	backendTwice       = "DW224"
	badBackendTLS      = "DW225"
	uselessRetries     = "DW226"
	noServingGateway   = "DW227"
	noWebsocket        = "DW228"
	shortWebsocket     = "DW229"
	heldStream         = "DW230"
	verifyUnavailable  = "DW301"
	badIssuer          = "DW302"
	issuerSlash        = "DW303"
	issuerServer       = "DW304"
	noAudience         = "DW305"
	clientSecret       = "DW306"
	audienceIsClient   = "DW307"
	noIntrospection    = "DW308"
	// SecretFile is found by whoever reads the secret, not by Compile: a catalogue may be
	// checked where its secrets are not.
	SecretFile = "DW309"
	// ReadableSecret is found with it.
	ReadableSecret  = "DW313"
	maxAgeTooLong   = "DW311"
	maxAgeUseless   = "DW312"
	issuerForm      = "DW314"
	leewayTooLong   = "DW315"
	tokensUnread    = "DW316"
	badClaim        = "DW319"
	claimForm       = "DW320"
	badRule         = "DW321"
	costlyRule      = "DW322"
	acrConflict     = "DW323"
	noGateway       = "DW401"
	badListen       = "DW402"
	badGatewayURL   = "DW403"
	badListener     = "DW404"
	exposedListener = "DW405"
	listenerClash   = "DW406"
	badListenerTLS  = "DW407"
	badSocketMode   = "DW408"
	foreignEnvoy    = "DW409"
	badGatewayTLS   = "DW410"
	gatewayScheme   = "DW411"
	// EnvoyRefuses is found by whoever asks a real Envoy, not by Compile.
	EnvoyRefuses = "DW420"
)

var rules = []Rule{
	{"DW001", Error, "the text is not YAML", "correct the YAML here"},
	{"DW002", Error, "a key is unknown", "remove the key"},
	{"DW003", Error, "a key is written twice", "keep one of the two"},
	{"DW004", Error, "YAML indirection is refused", "write the value out where it is used"},
	{"DW005", Error, "a value has the wrong type", "write a value of the type the key takes"},
	{"DW006", Error, "a value breaks the rule of its key", "write a value that the rule allows"},
	{"DW007", Error, "the configuration is too large", "split or shorten it"},
	{"DW008", Error, "the version is missing or unknown", `begin the file with "version: 1"`},
	{"DW009", Error, "a file holds several documents", `put each document into a file of its own, without "---" between`},
	{"DW010", Error, "a file cannot be read", "make it a readable regular file"},
	{"DW011", Error, "a section stands in two files", "keep the section in one of the files"},
	{"DW012", Error, "the text is not plain UTF-8", "save the file as UTF-8 without a byte order mark or control characters"},
	{"DW013", Error, "a variable is not expanded", "write the value itself; secrets go into files that the configuration names"},

	{badName, Error, "a name is missing or malformed", "use 1 to 63 lower-case letters, digits and inner hyphens"},
	{danglingReference, Error, "a name refers to nothing", "write the name of something declared"},
	{duplicateName, Error, "a name is taken", "choose another name"},
	{duplicateClient, Error, "a client id is taken", "let each client id belong to one application, once"},
	{foreignApplication, Error, "an application is not the granted organization's", "grant the application under its own organization"},
	{grantForm, Error, "a grant does not say who may call", "write exactly one of applications and all_applications: true"},
	{duplicateGrant, Error, "a grant is written twice", "join the two into one grant"},
	{denialForm, Error, "a denial does not say whom it turns away", "write exactly one of user_id, client_id and token_id"},
	{duplicateDenial, Error, "a denial is written twice", "keep the one that ends later"},
	{uselessDenial, Warning, "a denied client is unknown", "correct the client id, or remove the denial: an unknown client is turned away anyway"},

	{noTokenPolicy, Error, "an operation has no token policy", "write token_policy at the API or at the operation, or public: true"},
	{noOperations, Error, "an API has no operations", "declare its operations, or remove the API"},
	{noScopes, Error, "an operation requires no scopes", "write scopes: { all: [...] } or scopes: { any: [...] }, or public: true"},
	{publicProtected, Error, "a public operation asks for a token", "remove public, or what stands beside it"},
	{twoScopeLists, Error, "scopes holds both lists", "keep one of all and any"},
	{emptyScopes, Error, "a list of scopes is empty", "name at least one scope"},
	{badTemplate, Error, "an operation's path is malformed", "use literal segments, {name} and a last /**"},
	{ambiguousOperation, Error, "two operations match the same requests", "remove one of the two, or make its path more specific"},
	{duplicateFrontend, Error, "two APIs answer in one place", "give each host and base path to one API"},
	{badBasePath, Error, "a base path is malformed", `begin the path with "/", without a slash at its end`},
	{badHost, Error, "a host is malformed", `write an exact host in lower case without a port, *.example.com, or "*"`},
	{badBackend, Error, "a backend's URL is malformed", "write http:// or https://, a host, and at most a port and a path"},
	{uselessTLS, Error, "TLS settings on a plaintext backend", "write an https URL, or remove tls"},
	{gatewayBackend, Error, "a backend is the gateway itself", "write the URL of the server behind the gateway"},
	{metadataBackend, Error, "a backend is a link-local or metadata address", "write the URL of the server that implements the API"},
	{badHeaderPrefix, Error, "a prefix of headers cannot be used", "write a prefix of your own that begins with x- and ends in -, such as x-claim-"},
	{headerTwice, Error, "a header is mapped twice", "remove the claim, or the preset"},
	{badOrigin, Error, "an origin is malformed", "write https://app.example.com, with a port if it is not 443, or https://*.example.com"},
	{badExternal, Error, "an external URL is malformed", "write http:// or https://, a host in lower case and at most a port"},
	{metadataWhere, Error, "the metadata of a protected resource names one URL, and there are several", "write frontend.external with the URL that clients use first"},
	{metadataTaken, Error, "the place of a protected resource's metadata is taken", "remove protected_resource, or what answers there"},
	{backendForm, Error, "an API does not say how its backends share the requests", "write exactly one of backend, and backends with two or more that each have a weight"},
	{backendsDiffer, Error, "backends of one API are not alike", "write the same path, timeout, idle_timeout and retries for each, and grpc for all or none"},
	{backendTwice, Error, "a backend is written twice", "join the two, with the sum of their weights"},
	{badBackendTLS, Error, "a backend's tls is incomplete or malformed", "write cert_file together with key_file, files by absolute paths where Envoy runs, and sans as a certificate holds them"},
	{uselessRetries, Error, "retries where nothing is ever repeated", "remove retries: gRPC calls are POST requests, which are sent once"},
	{noServingGateway, Error, "an API names no gateway", "name a gateway, remove gateways to be served by all, or write published: false"},
	{noWebsocket, Error, "a websocket could not be opened", "declare an operation with GET on the path of the websocket, or remove websocket"},
	{shortWebsocket, Error, "websockets end before plain requests do", "write a longer max_duration, or a shorter timeout"},
	{heldStream, Error, "a limit that holds a request back which does not end", "remove max_request_bytes: gRPC servers limit messages themselves"},

	{verifyUnavailable, Error, "this way of verification is not available", "write verify: introspection, jwt or both"},
	{badIssuer, Error, "an issuer is not an https URL", "write https://{domain}/oauth2/{server id}; http is for loopback addresses only"},
	{issuerSlash, Error, "an issuer ends in a slash", "remove the slash at the end"},
	{issuerServer, Error, "an issuer is no authorization server", "write https://{domain}/oauth2/{server id}, for example .../oauth2/default"},
	{noAudience, Error, "an audience is missing", "write the audience of the authorization server, for example api://default"},
	{clientSecret, Error, "a client's secret or key does not fit its auth_method", "write client_secret_file, or auth_method: none for a public client"},
	{audienceIsClient, Error, "an audience is a client id", "write the authorization server's audience, which ID tokens do not carry"},
	{noIntrospection, Error, "an introspection client is missing", "write introspection with the client_id of a client at this server"},
	{SecretFile, Error, "a file with a secret or key cannot be used", "write the secret or key to the file, readable by durward and writable by its owner alone (chmod 600)"},
	{"DW310", Error, "a secret stands in the configuration", "write the secret to a file of its own (chmod 600), and client_secret_file: with its path"},
	{maxAgeTooLong, Error, "max_age is longer than facts are kept", "write at most 1h, or 0s to ask Okta for every request"},
	{maxAgeUseless, Error, "max_age without introspection", "remove max_age, or write verify: both"},
	{ReadableSecret, Warning, "a secret or key can be read by others", "let its owner alone read it (chmod 600)"},
	{issuerForm, Error, "the issuers are not those of one server", "write exactly one of issuer and issuers"},
	{leewayTooLong, Error, "leeway is longer than clocks differ", "write at most 5m; 30s is the default"},
	{tokensUnread, Error, "a setting about what is read from tokens, and nothing is", "remove the key, or tokens: opaque"},
	{"DW317", Error, "a private key does not parse, or is of the wrong kind", "write the private key to the file, in PEM or as a JWK: RSA of 2048 bits or more, or EC on P-256"},
	{"DW318", Error, "a certificate file cannot be used", "write certificates to the file, in PEM, readable by durward and writable by its owner alone (chmod 644)"},
	{badClaim, Error, "a claim's name is malformed", "write the claim's name, or the names on the way to it joined by dots"},
	{claimForm, Error, "a required claim does not say what it must be", "write exactly one of equals, one_of and contains, with texts, numbers or booleans"},
	{badRule, Error, "a rule is not a condition that can be evaluated", "write a CEL expression over token, request, application and api that is true or false"},
	{costlyRule, Error, "a rule may take too long", "look at each list once, and keep regular expressions short"},
	{acrConflict, Error, "no sign-in can reach all acr_values", "let the lists share a value, or remove one of them"},

	{noGateway, Error, "no gateway is declared", "declare at least one gateway"},
	{badListen, Error, "a gateway's listen address is malformed", "write an IP address and a port, for example 127.0.0.1:10000"},
	{badGatewayURL, Error, "a gateway's URL is malformed", "write http:// or https://, a host and at most a port"},
	{badListener, Error, "a listener's address is malformed", "write host:port or unix:/path"},
	{exposedListener, Error, "a listener off loopback without TLS and client certificates", "bind a loopback address or a unix socket, write tls, or insecure: true"},
	{listenerClash, Error, "two listeners share an address", "give each listener an address of its own"},
	{badListenerTLS, Error, "a listener's tls is incomplete or contradicts itself", "write cert_file, key_file, client_ca_file, allowed_sans and envoy"},
	{badSocketMode, Error, "a unix socket's mode is malformed", `write mode: "0600" or "0660"`},
	{foreignEnvoy, Error, "foreign_envoy stands where no Envoy asks for decisions", "write it at listeners.check, or remove it"},
	{badGatewayTLS, Error, "a gateway's tls is incomplete or contradicts itself", "write cert_file and key_file, or sds with address and name"},
	{gatewayScheme, Error, "a gateway speaks TLS, and its URL does not", "write an https URL, or remove tls"},
	{EnvoyRefuses, Error, "Envoy refuses what it would be told", "correct what Envoy names; files must be where Envoy runs, and this check with them"},
}

// Rules returns the table of findings, sorted by code.
func Rules() []Rule { return append([]Rule(nil), rules...) }

// ruleOf returns the rule of a code. A code outside the table is an error without
// advice, so a mistake here cannot make a finding milder.
func ruleOf(code string) Rule {
	for _, r := range rules {
		if r.Code == code {
			return r
		}
	}
	return Rule{Code: code}
}
