package source

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// isSecretFile reports whether a key's value is the path of a secret.
func isSecretFile(key protoreflect.Name) bool {
	return key == "client_secret_file" || key == "private_key_file" || key == "key_file"
}

// secretKey ends the names of keys under which people write secrets.
const secretKey = `(?i:secret|password|passwd|passphrase|private[_-]?key|api[_-]?key|api[_-]?token|access[_-]?token|client[_-]?assertion)`

var endsLikeSecret = regexp.MustCompile(secretKey + `$`)

// isSecretKey reports whether an unknown key is one under which a secret stands.
func isSecretKey(key string) bool { return endsLikeSecret.MatchString(key) }

// oktaSecret has the alphabet of Okta's client secrets, which are 40 or 64 long.
const (
	oktaSecret      = `[A-Za-z0-9_-]{40,}`
	oktaSecretBytes = 40
)

var wholeSecret = regexp.MustCompile(`^` + oktaSecret + `$`)

// looksLikeSecret reports whether what should be a path is a secret or a key itself.
func looksLikeSecret(path string) bool {
	return wholeSecret.MatchString(path) || strings.Contains(path, beginsPEM) || strings.HasPrefix(path, "{")
}

const beginsPEM = "-----BEGIN"

// What is not shown of a source line: all that stands after a key that is like a secret;
// whatever is like a secret of Okta's; the user part of a URL; a key in PEM.
var (
	secretValue   = regexp.MustCompile(secretKey + `["']?\s*:\s*(.+)`)
	anywhere      = regexp.MustCompile(`(` + oktaSecret + `)`)
	userOfURL     = regexp.MustCompile(`["']?([^\s/]+)@`)
	opensSecret   = regexp.MustCompile(secretKey + `["']?\s*:`)
	opensBelow    = regexp.MustCompile(secretKey + `["']?\s*:.{0,7}$`)
	startOfPEM    = regexp.MustCompile(`(` + beginsPEM + `.*)`)
	lineOfPEM     = regexp.MustCompile(`([A-Za-z0-9+/]{60,}=*)`)
	secretMatches = []*regexp.Regexp{secretValue, anywhere, userOfURL, startOfPEM, lineOfPEM}
)

// redact replaces what may be a secret by as many asterisks, in place. A value on the
// lines below its key is one as far as it is indented deeper; its first line always is
// where next to nothing stands after the key.
func redact(lines []string) []string {
	below, first := -1, false
	for i, line := range lines {
		text := strings.TrimLeft(line, " \t\r")
		if text == "" {
			continue
		}
		indent := len(line) - len(text)
		if below >= 0 && (first || indent > below) {
			lines[i], first = line[:indent]+strings.Repeat("*", utf8.RuneCountInString(text)), false
			continue
		}
		below = -1
		if !mayHide(line) {
			continue
		}
		if opensSecret.MatchString(line) {
			below, first = indent, opensBelow.MatchString(line)
		}
		for _, match := range secretMatches {
			lines[i] = mask(lines[i], match)
		}
	}
	return lines
}

// mayHide rules most lines out before the expressions look at them.
func mayHide(line string) bool {
	run, colon := 0, false
	for i := range len(line) {
		c := line[i]
		switch {
		case c == '@':
			return true
		case c == ':':
			run, colon = 0, true
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '+', c == '/':
			if run++; run == oktaSecretBytes {
				return true
			}
		default:
			run = 0
		}
	}
	return colon && opensSecret.MatchString(line) || strings.Contains(line, beginsPEM)
}

// mask replaces what the first group of each match covers, rune by rune.
func mask(line string, match *regexp.Regexp) string {
	var b strings.Builder
	end := 0
	for _, at := range match.FindAllStringSubmatchIndex(line, -1) {
		b.WriteString(line[end:at[2]])
		b.WriteString(strings.Repeat("*", utf8.RuneCountInString(line[at[2]:at[3]])))
		end = at[3]
	}
	b.WriteString(line[end:])
	return b.String()
}
