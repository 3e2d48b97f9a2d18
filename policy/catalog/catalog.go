package catalog

import (
	"io/fs"
	"net/url"
	"time"
)

// Catalogue is one compiled configuration. It is immutable: a change makes a new one.
// Everything in it has been checked; names are resolved to pointers.
type Catalogue struct {
	// Revision is the first 12 hex digits of a SHA-256 over the content. Replicas
	// with the same configuration agree on it; comments and file names do not count.
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
	// The lists are in the order of the configuration, but APIs, which are sorted
	// by name.
	Gateways      []*Gateway
	Servers       []*AuthorizationServer
	TokenPolicies []*TokenPolicy
	Organizations []*Organization
	APIs          []*API

	apis    map[string]*API
	clients map[string]*Application
	denied  map[denied]*Denial
}

// API returns the virtual API of that name, or nil.
func (c *Catalogue) API(name string) *API { return c.apis[name] }

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
	At          Position
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
	Backend  Backend
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
	At       Position

	grants map[*Organization]*grant
	paths  []*pathOperations
	// metadata is the operation at MetadataPath, nil unless ProtectedResource.
	metadata *Operation
}

// Backend is where allowed requests go.
type Backend struct {
	// URL is http or https, with host and without query, fragment or user.
	URL *url.URL
	// CAFile is the PEM file, as Envoy sees it, to verify the backend's certificate
	// with; empty means the system's authorities.
	CAFile string
	// Timeout bounds the whole response.
	Timeout time.Duration
}

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
