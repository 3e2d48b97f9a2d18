package catalog

import "strings"

// Help explains a finding to whoever meets it for the first time: a paragraph on how it
// comes about, and one on the way out. Both are plain text on one line.
type Help struct{ Cause, Fix string }

// Help returns the explanation of the rule's findings. A test holds that every rule of
// the table has one of its own.
func (r Rule) Help() Help {
	for _, texts := range []map[string]Help{textHelp, nameHelp, apiHelp, tokenHelp, gatewayHelp} {
		if h, ok := texts[r.Code]; ok {
			return Help{oneLine(h.Cause), oneLine(h.Fix)}
		}
	}
	return Help{}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// textHelp explains the findings of package source, about the text and its schema.
var textHelp = map[string]Help{
	"DW001": {
		`The file is not YAML, so nothing in it could be read. Most often a quote or a bracket
		is not closed, a key stands at another depth than its neighbours, or a tab stands
		where YAML wants blanks. The place that is shown is where reading became impossible;
		the mistake itself may be a line or two above it.`,
		`Look at the line that is shown and the one before. Indent with blanks only, close
		every bracket and quote, and put quotes around values that hold ": ", " #" or begin
		with one of { [ & * ! | > % @. An editor with a YAML mode shows the same place while
		you type.`,
	},
	"DW002": {
		`The key is not one that this version knows at this place. Unknown keys are refused,
		never skipped: a misspelt audience or scopes that was quietly ignored would leave an
		API open. The key may also be right but stand at the wrong depth, or belong to
		another product's format.`,
		`Correct the spelling, or move the key under the section it belongs to; the finding
		names the nearest key, or all there are. Keys are written in snake_case, as in
		token_policy. The file that durward schema prints lets an editor complete them.`,
	},
	"DW003": {
		`One mapping holds the same key twice. YAML readers disagree on which of the two
		counts, most take the last one without a word; so a second audience further down
		could replace the one that was reviewed.`,
		`Keep the line that is meant and remove the other. Where both values are wanted, the
		key takes a list: write one key with several items.`,
	},
	"DW004": {
		`The text uses YAML's indirections: an anchor (&name), an alias (*name), a merge key
		(<<), a tag (!name) or a directive (%name). With them a value is no longer where it
		is read, a few lines can grow into gigabytes, and a tag can make one reader see
		another type than the next. They are refused as a whole.`,
		`Write the value out where it is used. If a plain value begins with one of these
		characters, put quotes around it. What many APIs share belongs into a token policy,
		which they all name.`,
	},
	"DW005": {
		`The value has another type than the key takes: a list where one value belongs, text
		where a number belongs, or a plain word that some YAML readers take for something
		else than text. The words no, on and null, and values such as 0x1f, 1e3 or
		2024-01-01, are strings to one reader and truth values, numbers or dates to the next.`,
		`Write what the finding names: quotes around text that looks like something else,
		a dash or brackets for a list, true or false without quotes, and a unit behind every
		duration, as in 30s or 1m30s.`,
	},
	"DW006": {
		`The value has the right type but breaks the rule of its key: it is empty, too long,
		not one of the known words, not of the required form, or out of range. The rules are
		those of the schema, and the same that an editor shows.`,
		`Write a value that the rule allows; the finding says which they are. A client id is
		copied from the application's page in the Okta console, a scope exactly as it stands
		under the authorization server's Scopes.`,
	},
	"DW007": {
		`The configuration is larger, wider or deeper than any that is meant: a file over
		4 MiB, more than 64 MiB or 1024 files in all, or more nested brackets and keys in one
		mapping than the format has use for. The bounds are looked at before anything is
		built of the text, so that no file can exhaust the service.`,
		`Look whether this is the file you meant: a log or an export has often been given in
		its place. A true catalogue of that size is split into several files of one
		directory, which are read as one.`,
	},
	"DW008": {
		`Every file says which format it is written in, and this one does not, or names a
		format that this program does not know. Without it a later format could be read by
		the rules of an earlier one.`,
		`Begin each file with the line version: 1, also each of several files in a directory.
		The number stands without quotes.`,
	},
	"DW009": {
		`A line with three dashes begins a second document in the same file. Some readers
		would take the first document and drop the rest, and with it half of the grants or
		APIs.`,
		`Put each document into a file of its own in one directory and name that directory;
		the files are read in the order of their names and their lists are joined.`,
	},
	"DW010": {
		`The file or directory is not there, cannot be opened by this user, is no regular
		file, or the directory holds no file that ends in .yaml or .yml. Hidden files and
		sub-directories are left alone.`,
		`Name the file or directory that holds the configuration with --config, or go to
		where durward.yaml is. To begin with one, durward init writes it. In a container,
		look whether the volume is mounted and readable by user 65532.`,
	},
	"DW011": {
		`Lists such as apis and grants may be spread over the files of a directory and are
		joined. A single setting, such as listeners or check_timeout, cannot be: with two
		files that hold it, the order of their names would decide which counts.`,
		`Keep the section in one of the two files, best in one that holds what belongs to the
		installation and not to a team, and remove it from the other.`,
	},
	"DW012": {
		`The text holds bytes that readers do not all see alike, or that people do not see at
		all: another encoding than UTF-8, a byte order mark, control characters, or
		characters that turn the direction of writing. With these a reviewer can be shown
		another configuration than the one that is loaded.`,
		`Save the file as plain UTF-8 without a byte order mark; editors on Windows offer both
		under the encoding. Where one character is at fault, delete it and type it again
		instead of pasting it from a document.`,
	},
	"DW013": {
		`The value holds a variable in the form ${NAME}. Other gateways replace these from
		the environment; here they would be taken letter by letter, as an audience or a scope
		that no token ever carries. Nothing is expanded, so that whoever edits a catalogue
		cannot read the environment of the service.`,
		`Write the value itself. Where it differs from stage to stage, render the file before
		it is deployed, or keep a file for each stage. A client secret goes into a file, and
		the configuration names its path with client_secret_file.`,
	},
}

// gatewayHelp explains the findings about gateways and listeners.
var gatewayHelp = map[string]Help{
	noGateway: {
		`The configuration declares APIs but no gateway, so there is no Envoy that could be
		told of them. A gateway is one kind of Envoy: the address it listens on, and the URL
		under which callers reach it.`,
		`Declare one under gateways, with name, listen and url. All replicas of the same Envoy
		share one entry; durward bootstrap prints what such an Envoy is started with.`,
	},
	badListen: {
		`The address that Envoy should bind is not an IP address with a port. Envoy takes no
		name there, not even localhost, and an address without a host would leave open
		whether IPv4 or IPv6 is meant.`,
		`Write an address and a port: 127.0.0.1:10000 for this machine only, 0.0.0.0:10000 for
		every interface, [::]:10000 for IPv6. Port 0 lets the kernel choose one, for tests.`,
	},
	badGatewayURL: {
		`The URL under which callers reach the gateway cannot be used: its scheme is neither
		http nor https, or it holds a user, a path, a query or a fragment. Commands that send
		requests build them on this URL, and base paths belong to the APIs.`,
		`Write what stands before the base path in a caller's URL, such as
		https://api.example.com. Behind a load balancer it is the balancer's URL, not the
		address that Envoy binds.`,
	},
	badListener: {
		`An address on which Durward itself listens, or which it advertises to Envoy, is
		neither host:port nor unix:/path. To listen, the host is an IP address, localhost, or
		empty for all interfaces; to advertise, the port must be known.`,
		`Write for example 127.0.0.1:9001, or unix:/run/durward/check.sock with an absolute
		path of at most 104 bytes. The port for probes and metrics is always host:port.`,
	},
	exposedListener: {
		`The check or the xDS port would be reachable from other machines without TLS, or
		without asking callers for a certificate. Checks carry the tokens of your users, and
		whoever answers xDS decides where Envoy sends traffic; neither may be open to a network
		by accident. The admin port, which tells the state of everything, asks nobody who they
		are and is never open to one.`,
		`Run Durward beside Envoy and bind 127.0.0.1 or a unix socket, or write tls with
		cert_file, key_file, client_ca_file and allowed_sans. Where another layer encrypts and
		restricts the connection, such as a service mesh, say so with insecure: true at the
		listener.`,
	},
	listenerClash: {
		`Two of the listeners check, xds, ops and admin have the same address, and only one of
		them could bind it. They stay apart, so that each can be opened to those who need it:
		check and xds to Envoy, ops to probes and metrics, admin to durward status.`,
		`Give each an address of its own. The defaults are 127.0.0.1:9001 for check,
		127.0.0.1:18000 for xds, 127.0.0.1:8081 for ops and 127.0.0.1:9902 for admin; removing
		the key brings the default back.`,
	},
	badListenerTLS: {
		`The tls of a listener does not add up. It needs a certificate and its key; where it
		asks callers for certificates, it must say which names are Envoy's, for an authority
		has often signed for many others too; and since Durward configures Envoy, it must say
		with which files Envoy connects. Beside insecure: true, or on a unix socket, it would
		not be used.`,
		`Write cert_file and key_file, and client_ca_file together with allowed_sans, the DNS
		names or URIs in Envoy's certificates, such as spiffe://example.com/envoy, letter by
		letter. Below envoy write ca_file and server_name, by which Envoy knows the
		certificate here, and cert_file and key_file of Envoy's own, as absolute paths on
		Envoy's machine: Durward does not read them. Remove insecure: true, which asks for
		plaintext; a unix socket takes mode in place of tls. A gateway's own allowed_sans
		narrows those of listeners.xds, which has to hold each of its names.`,
	},
	badSocketMode: {
		`The mode says who may connect to a unix socket, in the octal digits of chmod, and this
		is none with which the socket's owner could; or the address is host:port, which has no
		mode. Without quotes some YAML readers take the digits for another number.`,
		`Write mode: "0660" and let Envoy and Durward share a group, or leave mode away for
		"0600", where both run as one user. The directory of the socket has to let Envoy in
		as well.`,
	},
	foreignEnvoy: {
		`The key says that Envoys ask which get their configuration from somebody else, and
		whose routes do not name the API; it is then found by the request's host and path.
		Only the check port is asked. An Envoy that gets its configuration from the xDS port
		is not foreign, and always names the API.`,
		`Write foreign_envoy: true at listeners.check if another control plane configures the
		Envoys that ask there, and durward help foreign-envoy shows what these must hold.
		Remove the key where it stands now.`,
	},
	badGatewayTLS: {
		`The tls of a gateway says which certificate Envoy shows to callers: that of two PEM
		files, or that which an SDS server such as a SPIRE agent gives to Envoy. Here a half is
		missing, both are written, or Envoy could not use them. Envoy watches the directory of
		the files, which is why both are in one; and the server sends the private key in
		plaintext, which is why it is on Envoy's machine.`,
		`Write cert_file and key_file as absolute paths where Envoy runs, or sds with an address
		such as unix:/run/spire/agent.sock and the name of the certificate there. Durward
		opens neither and never sees the key. Replace the files by renaming new ones into
		place, as kubelet and cert-manager do: Envoy then takes them within a second, and
		nobody is cut off.`,
	},
	gatewayScheme: {
		`The gateway has tls, so that Envoy speaks nothing but TLS there, and its url begins with
		http://. Commands that send requests, the proofs of DPoP and the metadata of protected
		resources go by the url and would all be wrong.`,
		`Write the url with https://, or remove tls. Where TLS ends in a load balancer before
		Envoy, the url is https:// as well, and the gateway has no tls.`,
	},
	EnvoyRefuses: {
		`A real Envoy was given everything that it would be told of this gateway, to validate
		and not to run, and it refused. It says why in its own words, and names a cluster,
		which is that of an API's backend, or a file. Most often it is a file that is not on
		this machine, such as the ca_file of a backend: Envoy reads it where it runs.`,
		`Correct what Envoy names, or run durward check --envoy where Envoy runs, with the
		same version and the same files. If its words point at nothing that you wrote, it is
		Durward's fault: tell its authors the words and Envoy's version.`,
	},
}
