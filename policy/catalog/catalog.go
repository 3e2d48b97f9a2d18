package catalog

import (
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Catalogue is one compiled configuration. It is immutable: a change makes a new one.
// Everything in it has been checked; names are resolved to pointers.
type Catalogue struct {
	// Hash is the hex SHA-256 of the content. Replicas with the same configuration agree on
	// it; comments and file names do not count.
	Hash string
	// Revision is the first 12 digits of Hash, for people to read. Two catalogues of the same
	// Revision may differ.
	Revision string
	// CheckTimeout is how long Envoy waits for a decision.
	CheckTimeout time.Duration
	// LogUser is how a token's subject is written to the log: hash, clear or none.
	LogUser   string
	Listeners Listeners
	// Headers is what backends are told beside the x-auth-* headers.
	Headers Headers
	// Denials are in the order of the configuration.
	Denials []*Denial
	// The lists are in the order of the configuration, but those of APIs, which are sorted
	// by name. APIs are the published ones; the others answer nowhere, and are there to be
	// spoken of.
	Gateways      []*Gateway
	Servers       []*AuthorizationServer
	TokenPolicies []*TokenPolicy
	Organizations []*Organization
	APIs          []*API
	Unpublished   []*API

	clients map[string]*Application
	denied  map[denied]*Denial
}

// API returns the published API of that name, or nil.
func (c *Catalogue) API(name string) *API {
	i, found := slices.BinarySearchFunc(c.APIs, name, func(a *API, name string) int { return strings.Compare(a.Name, name) })
	if !found {
		return nil
	}
	return c.APIs[i]
}

// Client returns the application that the OAuth client id belongs to, or nil. Client
// ids are compared byte by byte.
func (c *Catalogue) Client(clientID string) *Application { return c.clients[clientID] }

// Listeners is where Durward itself listens: host:port or unix:/path.
type Listeners struct {
	Check, XDS Listener
	// Ops is host:port, for probes and metrics over HTTP.
	Ops string
	// Admin is a loopback address with port, or unix:/path, for durward status over HTTP.
	Admin string
}

// Listener is one gRPC port of ours.
type Listener struct {
	// Address is host:port or unix:/path.
	Address string
	// Advertise lists the addresses Envoy dials; empty means Address.
	Advertise []string
	// Insecure accepts plaintext off loopback.
	Insecure bool
	// TLS is nil where the port speaks plaintext: on loopback, on a unix socket, or
	// Insecure.
	TLS *ListenerTLS
	// Mode is that of a unix socket, zero for any other address.
	Mode fs.FileMode
	// ForeignEnvoy finds the API of a request by its host and path where the Envoy that
	// asks does not name it. It is false but for Check.
	ForeignEnvoy bool
}

// ListenerTLS is how a port of ours proves who it is and who may call it. That its
// files are good is not known to the Catalogue.
type ListenerTLS struct {
	// CertFile and KeyFile are PEM, as paths; never empty.
	CertFile, KeyFile string
	// ClientCAFile is a PEM file of the authorities whose client certificates are
	// accepted. It is empty on loopback only, where any client may then call.
	ClientCAFile string
	// AllowedSANs are the subject alternative names, DNS name or URI, of which a
	// client certificate holds one, byte for byte. Not empty where ClientCAFile is
	// not.
	AllowedSANs []string
	// Envoy is the other end.
	Envoy EnvoyTLS
	At    Position
}

// EnvoyTLS is how Envoy connects to a port of ours that speaks TLS. Its files are where
// Envoy runs, by absolute paths.
type EnvoyTLS struct {
	// CertFile and KeyFile are PEM; empty where ClientCAFile is.
	CertFile, KeyFile string
	// CAFile is a PEM file of the authorities that our certificate is accepted from;
	// never empty.
	CAFile string
	// ServerName is the DNS name, in lower case, or IP address of our certificate.
	ServerName string
	// SecretsDir is the directory with the files of envoy.Secrets, which make Envoy watch
	// the others; empty where it reads them only at its start.
	SecretsDir string
}

// Gateway is one kind of Envoy.
type Gateway struct {
	Name string
	// Listen is the address Envoy binds, host:port.
	Listen string
	// URL is how callers reach it.
	URL *url.URL
	// AllowedSANs are the subject alternative names, DNS name or URI, of which the
	// certificate of an Envoy holds one, byte for byte, to be given this gateway's
	// configuration. Empty means those of Listeners.XDS.TLS, or anybody who can connect
	// where that asks for no certificate.
	AllowedSANs []string
	// TLS is nil where Envoy speaks plaintext.
	TLS *GatewayTLS
	// TrustedHops is of how many proxies before it the gateway believes what they say of
	// the caller, 0 to 10.
	TrustedHops int
	At          Position
}

// GatewayTLS is how a gateway proves to callers who it is. Either both files or both
// halves of SDS are set; Durward reads no key.
type GatewayTLS struct {
	// CertFile and KeyFile are PEM, as absolute paths in one directory where Envoy runs.
	CertFile, KeyFile string
	// SDSAddress is unix:/path or a loopback address with port where Envoy runs, SDSSecret
	// the name of the certificate there.
	SDSAddress, SDSSecret string
	// MinVersion is 1.2 or 1.3.
	MinVersion string
}

// Organization owns applications.
type Organization struct {
	Name         string
	Applications []*Application
	// Disabled turns away every application of the organization.
	Disabled bool
	At       Position
}

// Application is an OAuth client of an organization.
type Application struct {
	Name         string
	Organization *Organization
	ClientIDs    []string
	// Disabled turns the application away.
	Disabled bool
	At       Position
}

// API is a virtual API.
type API struct {
	Name string
	// Hosts are canonical exact hosts, *.example.com, or "*".
	Hosts []string
	// BasePath begins with "/" and does not end with one, but for "/" itself.
	BasePath string
	// Backends share the allowed requests in proportion to their weights. There is at least
	// one. They are alike in URL.Path, Timeout, IdleTimeout and Retries, and all of them speak
	// GRPC or none.
	Backends []Backend
	// Policy judges tokens where no operation is found: the API's own, else the first
	// that an operation names. It is nil only where every operation is public.
	Policy *TokenPolicy
	// Operations are in the order of the configuration.
	Operations []*Operation
	// Shadow lets every request pass, whatever the verdict.
	Shadow bool
	// CORS is nil where pages of other origins may not call.
	CORS *CORS
	// ProtectedResource says that clients are told where tokens come from (RFC 9728).
	ProtectedResource bool
	// ForwardAuthorization leaves the caller's credential to the backend.
	ForwardAuthorization bool
	// External are the URLs under which callers find the API's hosts, http or https,
	// with a lower-case host and without path, default port and trailing slash; those of
	// the gateways where the API names none.
	External []string
	// Gateways serve the API; where there is none, nobody does.
	Gateways []*Gateway
	// Websocket is how long a websocket may last, 0 where callers may open none.
	Websocket time.Duration
	// MaxRequestBytes is the largest body of a request, 0 for any.
	MaxRequestBytes int
	At              Position

	unpublished bool

	grants map[*Organization]*grant
	paths  []*pathOperations
	// metadata is the operation at MetadataPath, nil unless ProtectedResource.
	metadata *Operation
}

// Backend is where allowed requests go.
type Backend struct {
	// URL is http or https, with host and without query, fragment or user.
	URL *url.URL
	TLS BackendTLS
	// Timeout bounds the whole response, all tries together. Zero is none, for GRPC alone:
	// its callers say how long they wait.
	Timeout time.Duration
	// IdleTimeout is how long a request may rest; zero means Envoy's own limit, or Timeout
	// where that is longer.
	IdleTimeout time.Duration
	// Retries is how often a request that may be repeated is tried again, 0 to 5.
	Retries  int
	Protocol Protocol
	// Weight is positive. That of a lone backend says nothing.
	Weight int
}

// BackendTLS is how Envoy and an https backend know each other. Files are where Envoy
// runs. For http it is zero.
type BackendTLS struct {
	// CAFile is the PEM file of the authorities that are trusted; empty means the
	// system's.
	CAFile string
	// SANs are DNS names, IP addresses or URIs, sorted, of which the backend's certificate
	// holds one; empty means the URL's host.
	SANs []string
	// CertFile and KeyFile are the PEM files of the certificate that Envoy shows; both are
	// empty for none.
	CertFile, KeyFile string
}

// Protocol is what a backend speaks.
type Protocol string

// The protocols. GRPC is HTTP2 whose calls end when their callers say.
const (
	HTTP1 Protocol = "http1"
	HTTP2 Protocol = "http2"
	GRPC  Protocol = "grpc"
)

// Operation is a set of methods on one path template.
type Operation struct {
	Methods []string
	Path    Template
	// AllScopes must all be held; AnyScopes one of them. One of the lists is set
	// unless Public.
	AllScopes, AnyScopes []string
	// Policy is never nil unless Public.
	Policy *TokenPolicy
	// Public lets anybody call without a token.
	Public bool
	// Requires is what the operation asks of a token beside its scopes: its own
	// requirements, those of its API and those of Policy together.
	Requires Requirements
	At       Position
}

// Position is a place in a configuration file; the zero Position is unknown. Line and
// Column count from 1, Column in runes.
type Position struct {
	File         string
	Line, Column int
}

// grant is one organization's access to one API. The zero grant lets nobody call.
type grant struct {
	all          bool
	applications map[*Application]bool
	at           Position
}

// OrganizationGranted reports the first level of access: the organization may have
// applications that call the API.
func (a *API) OrganizationGranted(o *Organization) bool { return a.grants[o] != nil }

// ApplicationGranted reports both levels of access: the application's organization
// has access, and so has the application itself.
func (a *API) ApplicationGranted(app *Application) bool {
	if app == nil {
		return false
	}
	g := a.grants[app.Organization]
	return g != nil && (g.all || g.applications[app])
}

// GrantAt is where the organization's access is written, the zero Position if it has none.
func (a *API) GrantAt(o *Organization) Position {
	if g := a.grants[o]; g != nil {
		return g.at
	}
	return Position{}
}

// ServedBy reports whether the gateway of that name serves the API.
func (a *API) ServedBy(gateway string) bool {
	return slices.ContainsFunc(a.Gateways, func(g *Gateway) bool { return g.Name == gateway })
}

// Covers reports whether a request path lies at or below the base path, or is that of
// the API's protected resource metadata.
func (a *API) Covers(path string) bool { return a.reach(path) > 0 }

// reach says how much of path is the API's own place: the length of its base path, all
// of it for the path of its metadata; 0 if it does not cover path.
func (a *API) reach(path string) int {
	if a.isMetadata(path) {
		return len(path)
	}
	if _, ok := a.relative(path); !ok {
		return 0
	}
	return len(a.BasePath)
}
