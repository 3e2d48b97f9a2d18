package okta_test

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// plainlyActive reads an answer with other tools than the code under test.
func plainlyActive(status int, contentType string, body []byte) bool {
	media, _, _ := strings.Cut(contentType, ";")
	if status != 200 || strings.ToLower(strings.TrimSpace(media)) != "application/json" || !utf8.Valid(body) || !json.Valid(body) {
		return false
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return false
	}
	active := 0
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return false
		}
		if text, _ := name.(string); strings.EqualFold(text, "active") {
			active++
			if text != "active" || string(value) != "true" {
				return false
			}
		}
	}
	return active == 1
}
