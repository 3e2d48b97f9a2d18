package contract

// Step is one check of the judgement, by its name in traces, in explain and in the table
// of what is checked.
type Step string

// The steps, in the order of judgement.
const (
	StepRequest    Step = "request"
	StepAPI        Step = "api"
	StepCredential Step = "credential"
	StepToken      Step = "token"
	StepProof      Step = "proof"
	StepDenial     Step = "denial"
	StepClient     Step = "client"
	StepGrant      Step = "grant"
	StepOperation  Step = "operation"
	StepScope      Step = "scope"
	StepSignIn     Step = "sign-in"
	StepClaim      Step = "claim"
	StepRule       Step = "rule"
	StepIdentity   Step = "identity"
)

// Check says what a step asks, in words for people, and with which reasons it denies.
type Check struct {
	Step    Step
	Asks    string
	Reasons []Reason
}

// checks is the table of what is checked: the README prints it, and a test holds every
// decision to it.
var checks = []Check{
	{StepRequest, "a method, host and path that can be read in one way only", []Reason{RequestMalformed}},
	{StepAPI, "an API at this host and path", []Reason{APIUnknown}},
	{StepCredential, "one access token, in the `Authorization` header alone, unless the operation is `public`", []Reason{TokenMissing, RequestMalformed}},
	{StepToken, "a token that its policy verifies: issuer, audience, kind, times, a person behind it unless `machine_tokens`", []Reason{
		TokenMalformed, TokenNotYetValid, SignatureInvalid, IssuerMismatch, AudienceMismatch, TokenTypeWrong,
		TokenExpired, TokenInactive, OktaUnavailable, OktaRateLimited, Overloaded, Internal,
	}},
	{StepProof, "with a bound token, a DPoP proof of its key for this one request", []Reason{BindingMismatch, ProofInvalid, Overloaded, Internal}},
	{StepDenial, "no entry in `denials` for the user, the client or the token", []Reason{TokenRevoked}},
	{StepClient, "a registered client, whose application and organization are enabled", []Reason{ClientUnknown, ApplicationDisabled}},
	{StepGrant, "access of the organization, and of the application", []Reason{GrantMissing}},
	{StepOperation, "a declared operation: path and method", []Reason{OperationUnknown}},
	{StepScope, "the operation's scopes", []Reason{ScopeMissing}},
	{StepSignIn, "a sign-in as `acr_values` and `max_auth_age` ask (RFC 9470)", []Reason{StepUpRequired}},
	{StepClaim, "the required `claims`", []Reason{ClaimMismatch}},
	{StepRule, "every `rule` (CEL) true", []Reason{ClaimMismatch}},
	{StepIdentity, "identity headers of 8 KiB at most", []Reason{ClaimMismatch}},
}

// Checks returns the table of what is checked, in the order of judgement. An API without
// any protected operation tells of its operations (StepOperation) before all others.
func Checks() []Check { return append([]Check(nil), checks...) }
