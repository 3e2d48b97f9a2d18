package explain

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/durward/durward/policy/token"
)

// maxInput is the most that is read of a token's file, in bytes: the longest token with
// room for the header around it.
const maxInput = token.MaxLength + 1<<10

// ReadCredential reads an authorization header's value from where names: a file (@FILE),
// or stdin (@- or -). There stands one line: a token, `Bearer` or `DPoP` and a token, or a whole
// `Authorization:` header. An argument that is none of the forms may be a token, so that
// the error, an *InputError, does not repeat it.
func ReadCredential(where string, stdin io.Reader) (string, error) {
	if where == "-" || where == "@-" {
		return readLine(stdin)
	}
	name, ok := strings.CutPrefix(where, "@")
	if !ok || name == "" {
		return "", inputErrorf("a token comes from a file (@FILE) or from standard input (-), never as an argument: others on this machine can read those")
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	defer func() { _ = f.Close() }()
	return readLine(f)
}

func readLine(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	line := strings.TrimSpace(string(text))
	switch {
	case len(text) > maxInput:
		return "", inputErrorf("the input is longer than any token, %d bytes", token.MaxLength)
	case line == "":
		return "", inputErrorf("there is no token in the input")
	case strings.ContainsAny(line, "\r\n\x00"):
		return "", inputErrorf("the input has more than one line; it should hold one token or one Authorization header")
	}
	if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "authorization") {
		return strings.TrimSpace(value), nil
	}
	if scheme, _, ok := strings.Cut(line, " "); ok && isScheme(scheme) {
		return line, nil
	}
	return "Bearer " + line, nil
}

// isScheme reports a scheme under which access tokens are sent.
func isScheme(scheme string) bool {
	return strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "dpop")
}

// bearer takes the token out of an authorization header's value.
func bearer(authorization string) (token.Token, error) {
	scheme, text, _ := strings.Cut(authorization, " ")
	if !isScheme(scheme) {
		return token.Token{}, inputErrorf("the header holds no access token: its scheme is neither Bearer nor DPoP")
	}
	t, err := token.Parse(strings.TrimSpace(text))
	var malformed *token.Error
	if errors.As(err, &malformed) {
		return token.Token{}, inputErrorf("this is no token: a bearer token has letters, digits and -._~+/ only, without blanks, and is at most %d bytes long", token.MaxLength)
	}
	return t, err
}
