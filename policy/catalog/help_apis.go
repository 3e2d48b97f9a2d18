package catalog

// nameHelp explains the findings about names, references, clients and grants.
var nameHelp = map[string]Help{
	badName: {
		`Gateways, authorization servers, token policies, organizations, applications and APIs
		all have a name, by which the rest of the configuration, logs and metrics call them.
		This one is missing, or holds something else than lower-case letters, digits and inner
		hyphens. A lone hyphen is no name: it stands for no API between Envoy and Durward.`,
		`Choose 1 to 63 lower-case letters, digits and hyphens, as in mobile-orders. The name
		is yours and need not be the label in the Okta console; what ties an application to
		Okta is its client id.`,
	},
	danglingReference: {
		`A grant, an API or a token policy names something that is nowhere declared. Nothing
		is taken to exist because it is named: a grant that meets no API would do nothing
		today, and open the wrong one the day somebody declares that name.`,
		`Correct the name if the finding suggests one; it shows where that is declared. Else
		declare the missing thing, or remove the reference together with what it was meant
		to open. An application is looked for in the organization of its grant only.`,
	},
	duplicateName: {
		`Two things of one kind have the same name, or names that differ in capitals only, and
		references could mean either. In a directory the two often stand in files of
		different teams, neither of whom sees the other's.`,
		`Rename one of the two and the references to it, or join them if they are one. Two
		organizations may each have an application of the same name; two APIs may not.`,
	},
	duplicateClient: {
		`A client id belongs to two applications, or stands in one twice. The client id in a
		token is all that says which application calls, so each must lead to one application
		and to one organization. Ids that differ in capitals only are taken for the same
		mistake.`,
		`Leave the id with its owner and give the other application its own: in the Okta
		console, under Applications, each application shows its client id on the General tab.
		Several products that share one client cannot be told apart; register one for each.`,
	},
	foreignApplication: {
		`The grant is for one organization but names an application of another. Access has two
		levels, first the organization and then its applications, and an application cannot
		borrow the level of somebody else's organization.`,
		`Write a second grant with the organization that owns the application, or, if the
		application has moved, declare it under its new organization.`,
	},
	grantForm: {
		`A grant says who may call in one of two ways: a list of applications, or
		all_applications: true for every one that the organization has now and will have
		later. This grant writes both, neither, or all_applications: false, and each of these
		could be read as everybody or as nobody.`,
		`Write applications: [mobile, kiosk] to name them, applications: [] to give the
		organization access before any application may call, or all_applications: true; and
		only one of them.`,
	},
	duplicateGrant: {
		`The organization already has a grant for this API, or the application stands in it
		twice. With two grants it would depend on their order which one is in force, and
		removing one would not take the access away.`,
		`Join the two into one grant that lists every application, and remove the other. In a
		directory, keep the grants of one API in one file.`,
	},
	denialForm: {
		`A denial turns away one user, one client or one token until it ends. This one names
		none of them, several at once, or has an empty name. Two names could mean either of
		them or both together, and somebody who thinks to be rid of a stolen token must not
		have to guess.`,
		`Write exactly one of user_id, with Okta's id of the user as in the uid claim, client_id,
		or token_id with the jti of one token. To turn away a user at one client only, deny the
		tokens. Decision records hold all three ids.`,
	},
	duplicateDenial: {
		`The same user, client or token is denied in two places. Where only one of them ends, or
		somebody removes one, it cannot be seen from the other whether the denial was meant to
		stay.`,
		`Keep the entry that ends later, or the one without until, and join the two reasons in
		it. In a directory, one file for all denials shows what is there.`,
	},
	uselessDenial: {
		`The denial names a client id that belongs to no application of this configuration. A
		client that is not known is turned away by itself, so the denial does nothing; more
		often the id is misspelt, and the client that was meant still calls.`,
		`Compare the id with the application's entry, letter by letter. If the client was removed
		since, remove the denial too; to turn away an application for longer, enabled: false at
		the application says so where it is looked for.`,
	},
}

// apiHelp explains the findings about APIs.
var apiHelp = map[string]Help{
	noTokenPolicy: {
		`The operation is not public, and neither it nor its API names a token policy, so
		nothing says which Okta server's tokens open it. An operation without a policy is
		refused and never open: access without a token must be asked for by name.`,
		`Write token_policy at the API, for all its operations, or at the operation where it
		is stricter than the rest. For something that anybody may call, a health check for
		example, write public: true at that operation.`,
	},
	noOperations: {
		`The API publishes a base path but lists no operation on it, so every request would be
		answered with operation_unknown. Only what is listed answers: an API does not pass
		on paths that nobody declared.`,
		`List what callers may do: methods, a path relative to the base path, and scopes. The
		path /** stands for everything below, where the backend sorts the paths out itself.`,
	},
	noScopes: {
		`The operation is not public but requires no scope. Then every token of the
		authorization server would open it for a granted application, also one that a user
		allowed for another purpose altogether.`,
		`Name the scopes that a token must hold: scopes: { all: [orders.read] }, or any for one
		of several. They are declared in the Okta console at the authorization server, under
		Scopes, and the application asks for them when it signs its user in.`,
	},
	publicProtected: {
		`The operation says public: true and beside it asks for scopes or names a token policy.
		A public operation looks at no token, so the protection that stands there would never
		be applied, although it reads as if it were.`,
		`Decide which of the two is meant. Remove public to protect the operation, or remove
		scopes and token_policy to open it to callers without a token.`,
	},
	twoScopeLists: {
		`Scopes holds two lists, all and any. One reader takes that for both conditions, the
		next for either of them, and a security rule must not depend on the reader.`,
		`Keep all where a token needs every scope of the list, or any where one of them is
		enough. Two different conditions are two operations, each with methods or a path of
		its own.`,
	},
	emptyScopes: {
		`The list of scopes is there but holds none. Read by the letter, every token would
		satisfy an empty all and no token an empty any. Neither is what an empty list says at
		first sight, so it is refused.`,
		`Name at least one scope, as it is declared at the authorization server in Okta. To
		let callers in without a token, remove scopes and write public: true.`,
	},
	badTemplate: {
		`The path of an operation is made of literal segments, {name} for exactly one segment,
		and a last /** for the rest. This one holds a pattern, half a segment in braces, a dot
		segment, or a character that proxies and servers read differently, so it could match
		other requests than it seems to.`,
		`Begin with a slash and write each segment as it appears in a request: /orders/{id} or
		/files/**. Regular expressions are not supported; characters outside ASCII are
		percent-encoded with upper-case digits. A path with and one without a last slash are
		two operations.`,
	},
	ambiguousOperation: {
		`Two operations of the API match the same paths with a method in common, as /{id} and
		/{key} do. Only names of parameters differ, which requests do not show, so their order
		in the file would decide which scopes count.`,
		`Remove one of the two, or take the method out of one of them. A literal segment beside
		a parameter is fine: /search beside /{id} is more specific and wins.`,
	},
	duplicateFrontend: {
		`Two APIs answer at the same host and the same base path, or one names that host
		twice. A request there has two owners, and the token policy and grants of one would
		be applied to the traffic of the other.`,
		`Give one of them another base path or another host. Nested base paths are fine: for
		/shop and /shop/orders the longer one wins, and an operation that it lacks is not
		looked for in the shorter.`,
	},
	badBasePath: {
		`The base path is what callers write before an operation's path. This one does not
		begin with a slash, ends in one, or holds an empty or dot segment or a character that
		must be percent-encoded. Envoy brings request paths into canonical form before
		Durward sees them, and such a base path would match none of those.`,
		`Write it as /orders or /v2/orders, without parameters; the whole host is a lone
		slash. Operations follow below it, so the base path stands there once only.`,
	},
	badHost: {
		`A host of the frontend is not in the form in which hosts are compared: lower case,
		without a port and without a last dot. Or it is no host at all, is missing, or holds a
		star elsewhere than as the whole first label. Two spellings of one host would look
		like two places.`,
		`Write the host as in a caller's URL, such as api.example.com; *.example.com stands for
		every name below example.com but not for itself, and "*" for any host. International
		names are written in their xn-- form.`,
	},
	badBackend: {
		`The URL of the backend cannot be used as the place where requests go: it has another
		scheme than http or https, no host, or a user, a query or a fragment. A number that
		some resolvers read as an IPv4 address and others as a name is refused as well.`,
		`Write for example http://orders.internal:8080 or https://orders.example.com/v1. A path
		replaces the base path. Credentials for the backend do not belong here: durward hands
		on who calls, in the x-auth headers.`,
	},
	uselessTLS: {
		`The backend has TLS settings, but its URL begins with http. Envoy would send requests
		in the clear and never look at the certificate authority that is named, although the
		configuration reads as if it did.`,
		`Write https in the URL if the backend offers it, with the port of its TLS listener.
		Else remove tls.`,
	},
	gatewayBackend: {
		`The backend is the gateway's own URL, or the address that it listens on under one of
		the names of this machine. Envoy would send the request to itself, ask for a decision
		again and go round until a timeout ends it.`,
		`Write the address of the server that implements the API. If that really runs on this
		machine, it listens on another port than Envoy; if it is another API of the same
		gateway, name that API's backend instead.`,
	},
	metadataBackend: {
		`The backend is a link-local address or the metadata service of a cloud. From there
		every instance fetches its own credentials, so an API on top of it would hand the
		gateway's identity to callers. No API is served from such an address.`,
		`Write the address or name of the server that implements the API. A server that is
		only reachable by a link-local address needs a routable one.`,
	},
	backendForm: {
		`An API's requests go to one backend, or are shared out to several in proportion to
		their weights. This one writes both forms or neither, several without a weight for each,
		or a weight where there is nobody to share with. A weight that is left out could be read
		as none of the requests, or as an equal share.`,
		`Write backend: { url: ... }, or backends with two or more items, each with url and
		weight, such as 90 and 10. The sum is free; a backend that should get nothing is
		removed.`,
	},
	backendsDiffer: {
		`The backends of one API are reached by one route, which has one path to put in place of
		the base path, one timeout and one policy for trying again. One of the backends asks for
		another than the first, and half of the requests would go where nobody meant them to.`,
		`Write the same for all; what may differ is scheme, host, port and tls, and http1 beside
		http2. If a new version of the backend has another path, let it answer at the old one as
		well, or give it an API of its own.`,
	},
	backendTwice: {
		`Two entries of one API's backends are the same host and port. One of them is most often
		a copy that was meant to become another backend and still sends everything to the old
		one.`,
		`Correct the URL of the copy. If the backend shall get more of the requests, raise its
		weight; several servers behind one name are one backend.`,
	},
	badBackendTLS: {
		`The settings say how Envoy and the backend know each other, and these would not work: a
		certificate without its key or the reverse, a path that depends on where Envoy was
		started, or a name that no certificate can hold. Envoy would refuse the backend, or no
		handshake would ever succeed.`,
		`Write absolute paths of files where Envoy runs, cert_file and key_file together, and
		sans such as orders.internal or spiffe://example.com/orders. A certificate for
		*.example.com is met by the name it is used for, not by the pattern.`,
	},
	uselessRetries: {
		`The backend has retries, but only requests are repeated that do the same when they are
		done twice: GET, HEAD, OPTIONS, PUT and DELETE. Every gRPC call is a POST, and Envoy
		cannot know which of them may be repeated.`,
		`Remove retries. Clients of gRPC repeat by themselves what their service config names,
		and know which methods that is safe for.`,
	},
	badHeaderPrefix: {
		`The prefix begins the names of all headers with claims, and whatever a caller sends
		under it is removed. This one is malformed, or begins names that have a meaning already:
		those of Durward's own identity headers, of Envoy, of proxies, or those by which
		frameworks let a caller replace the method or the URL.`,
		`Remove the key for x-claim-, or write a prefix of your own in lower case, such as
		x-shop-user-. Where backends read the names of oauth2-proxy or Istio, preset brings
		exactly those.`,
	},
	headerTwice: {
		`Two claims are mapped to one header: the preset has it, and so has an entry under
		claims. Which of the two a backend would read is nowhere said, and it decides by what it
		reads.`,
		`Remove the entry, or choose another name for it. If the preset's claim is not the one
		that the backend needs, map all of the headers yourself and remove preset.`,
	},
	badOrigin: {
		`An origin is not written as browsers send it, or is none: scheme and host in lower case,
		a port only where it is not the scheme's own, and no path. An asterisk alone and null
		are refused, for they stand for every page of the web, and pages send the tokens of
		their users.`,
		`Write what the address bar shows up to the host, such as https://app.example.com, or
		https://*.example.com for every page below a domain that is all yours. A page on a
		developer's machine is http://localhost:3000 or so.`,
	},
	badExternal: {
		`The external URLs of a frontend are what clients write before the path. A DPoP proof
		names the URL that it was made for, so they are compared as text: http or https, a host
		in lower case, a port only where it is not the scheme's own, and neither path nor
		query.`,
		`Write each URL under which clients reach the hosts of the API, such as
		https://api.example.com, also where a load balancer ends TLS before Envoy. Without the
		key, the URLs of the gateways count.`,
	},
	metadataWhere: {
		`The metadata of a protected resource names the URL of the API, one and no more, and
		clients compare it with the URL that they called. The API is found under the URLs of
		several gateways, and none of them is known to be the one.`,
		`Write frontend.external with all of the URLs, the one that clients are told first. If
		clients need not be told where tokens come from, remove protected_resource.`,
	},
	metadataTaken: {
		`With protected_resource the API's hosts answer at a well-known path, which RFC 9728
		derives from the base path, to anybody. An operation is written out for that path, or
		another API has its base path there, so one of the two would never be asked.`,
		`Remove protected_resource if a backend serves the metadata itself; its operation has to
		be public then. Else remove what stands in the way. Operations with {name} or /** do
		not: what is written out wins over them.`,
	},
	noServingGateway: {
		`The API has a list of the gateways that serve it, and the list is empty. Nobody would
		reach the API, and whoever reads the file cannot tell whether that is meant.`,
		`Name the gateways, as gateways: [edge], or remove the key: then all gateways serve the
		API, those too that are declared later. To keep the API back while it is checked with
		all the rest, write published: false.`,
	},
	noWebsocket: {
		`The API allows websockets, and none could be opened. They begin as a GET request of
		HTTP/1.1 that turns into a stream: one of the operations takes GET, whose scopes are
		those of the websocket, and each backend speaks HTTP/1.1.`,
		`Declare an operation such as { methods: [GET], path: /events, scopes: { all:
		[events.read] } }, and leave protocol away at the backend, or write http1. A part of
		the API that speaks HTTP/2 to its backend can be an API of its own, with a longer base
		path. If there are no websockets, remove the key.`,
	},
	shortWebsocket: {
		`Envoy ends whatever lasts longer than max_duration on the routes of the API, plain
		requests too. A backend's timeout is longer than that, so that its slow answers would
		be cut off in the middle, in place of the 504 that a timeout is.`,
		`Write a max_duration that is at least as long as the timeouts of the API's backends;
		24h is the longest. The default is 1h for max_duration, and 15s for timeout.`,
	},
	heldStream: {
		`With max_request_bytes Envoy holds each request back until it has all of it, and only
		then asks the backend. A websocket is a request without an end, and so may a call of
		gRPC be: the backend would never be asked.`,
		`Remove max_request_bytes. A gRPC server limits messages by itself, most of them to 4
		MiB. If uploads next to a websocket need a limit, make them an API of their own with a
		longer base path.`,
	},
}
