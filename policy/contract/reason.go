package contract

// Reason says why a request was denied. The list is closed: a reason is the metric
// label, the log field, the problem type and the help topic of a denial. The empty
// Reason belongs to allows alone.
type Reason string

// The reasons, in the order of judgement.
const (
	RequestMalformed    Reason = "request_malformed"
	APIUnknown          Reason = "api_unknown"
	TokenMissing        Reason = "token_missing"
	TokenMalformed      Reason = "token_malformed"
	TokenNotYetValid    Reason = "token_not_yet_valid"
	SignatureInvalid    Reason = "signature_invalid"
	IssuerMismatch      Reason = "issuer_mismatch"
	AudienceMismatch    Reason = "audience_mismatch"
	TokenTypeWrong      Reason = "token_type_wrong"
	BindingMismatch     Reason = "binding_mismatch"
	TokenExpired        Reason = "token_expired"
	TokenInactive       Reason = "token_inactive"
	TokenRevoked        Reason = "token_revoked"
	ProofInvalid        Reason = "proof_invalid"
	ClientUnknown       Reason = "client_unknown"
	ApplicationDisabled Reason = "application_disabled"
	GrantMissing        Reason = "grant_missing"
	OperationUnknown    Reason = "operation_unknown"
	ScopeMissing        Reason = "scope_missing"
	StepUpRequired      Reason = "step_up_required"
	ClaimMismatch       Reason = "claim_mismatch"
	OktaUnavailable     Reason = "okta_unavailable"
	OktaRateLimited     Reason = "okta_rate_limited"
	Overloaded          Reason = "overloaded"
	Internal            Reason = "internal"
)

// Denial is what a caller is told for a reason. The zero Denial is unusable on
// purpose: see Denials.
type Denial struct {
	// Told is the reason the caller reads. It differs from the reason we log
	// where the difference would tell an attacker how a token died.
	Told Reason
	// Status is the HTTP status.
	Status int
	// Title is the problem's title (RFC 9457).
	Title string
	// Scheme is the challenge's scheme, empty where there is no challenge.
	Scheme string
	// ChallengeError is the challenge's error code (RFC 6750 section 3.1), empty
	// where none may be given.
	ChallengeError string
	// GRPC is the status code for application/grpc callers.
	GRPC uint32
	// Retry says that the same request may succeed later.
	Retry bool
}

// ProofAlgorithms lists the algorithms (RFC 7518 section 3.1) by which a DPoP proof may
// be signed: those that a challenge names, and all that are accepted.
func ProofAlgorithms() []string { return []string{"ES256", "PS256", "RS256"} }

// gRPC status codes, by the numbers of the gRPC specification.
const (
	grpcInvalidArgument  = 3
	grpcPermissionDenied = 7
	grpcUnimplemented    = 12
	grpcUnavailable      = 14
	grpcUnauthenticated  = 16
)

func unauthenticated(told Reason, title, scheme, code string) Denial {
	return Denial{Told: told, Status: 401, Title: title, Scheme: scheme, ChallengeError: code, GRPC: grpcUnauthenticated}
}

func forbidden(told Reason, title, code string) Denial {
	d := Denial{Told: told, Status: 403, Title: title, ChallengeError: code, GRPC: grpcPermissionDenied}
	if code != "" {
		d.Scheme = "Bearer"
	}
	return d
}

func unavailable(told Reason, title string) Denial {
	return Denial{Told: told, Status: 503, Title: title, GRPC: grpcUnavailable, Retry: true}
}

// denials is the reason table. A test holds that it is total.
var denials = map[Reason]Denial{
	RequestMalformed:    {Told: RequestMalformed, Status: 400, Title: "The request cannot be judged", Scheme: "Bearer", ChallengeError: "invalid_request", GRPC: grpcInvalidArgument},
	APIUnknown:          {Told: APIUnknown, Status: 404, Title: "No API answers here", GRPC: grpcUnimplemented},
	TokenMissing:        unauthenticated(TokenMissing, "An access token is required", "Bearer", ""),
	TokenMalformed:      unauthenticated(TokenMalformed, "The access token is not well formed", "Bearer", "invalid_token"),
	TokenNotYetValid:    unauthenticated(TokenNotYetValid, "The access token is not valid yet", "Bearer", "invalid_token"),
	SignatureInvalid:    unauthenticated(SignatureInvalid, "The access token's signature is not valid", "Bearer", "invalid_token"),
	IssuerMismatch:      unauthenticated(IssuerMismatch, "The access token comes from another issuer", "Bearer", "invalid_token"),
	AudienceMismatch:    unauthenticated(AudienceMismatch, "The access token is meant for another audience", "Bearer", "invalid_token"),
	TokenTypeWrong:      unauthenticated(TokenTypeWrong, "This kind of token opens no API", "Bearer", "invalid_token"),
	BindingMismatch:     unauthenticated(BindingMismatch, "The access token is bound to another key", "Bearer", "invalid_token"),
	TokenExpired:        unauthenticated(TokenInactive, "The access token is not active", "Bearer", "invalid_token"),
	TokenInactive:       unauthenticated(TokenInactive, "The access token is not active", "Bearer", "invalid_token"),
	TokenRevoked:        unauthenticated(TokenInactive, "The access token is not active", "Bearer", "invalid_token"),
	ProofInvalid:        unauthenticated(ProofInvalid, "The DPoP proof is not valid", "DPoP", "invalid_dpop_proof"),
	StepUpRequired:      unauthenticated(StepUpRequired, "A stronger or newer sign-in is required", "Bearer", "insufficient_user_authentication"),
	ClientUnknown:       forbidden(ClientUnknown, "The client is not registered here", ""),
	ApplicationDisabled: forbidden(ApplicationDisabled, "The application is disabled", ""),
	GrantMissing:        forbidden(GrantMissing, "The application may not call this API", ""),
	ScopeMissing:        forbidden(ScopeMissing, "The access token lacks a scope", "insufficient_scope"),
	ClaimMismatch:       forbidden(ClaimMismatch, "The caller's claims do not allow this", ""),
	OperationUnknown:    {Told: OperationUnknown, Status: 404, Title: "The API has no such operation", GRPC: grpcUnimplemented},
	OktaUnavailable:     unavailable(OktaUnavailable, "Okta cannot be asked right now"),
	OktaRateLimited:     unavailable(OktaRateLimited, "Okta asks us to slow down"),
	Overloaded:          unavailable(Overloaded, "Too many requests are being decided"),
	Internal:            unavailable(Internal, "The request could not be judged"),
}

// Denial returns what a caller is told for r. A reason outside the list, the empty
// one included, reads as Internal: there is no reason that opens.
func (r Reason) Denial() Denial {
	if d, ok := denials[r]; ok {
		return d
	}
	return denials[Internal]
}

// Reasons lists every reason, in no particular order.
func Reasons() []Reason {
	list := make([]Reason, 0, len(denials))
	for r := range denials {
		list = append(list, r)
	}
	return list
}
