package token_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/durward/durward/policy/token"
)

func TestParseObject(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	good := []string{
		`{}`, " {} \n", `{"a":1,"b":{"a":1}}`, `{"a":[{"x":1},{"x":2}]}`, `{"caf\u00e9":"\ud83d\ude00"}`, deep(500),
		`{"":0}`, `{"a":"` + strings.Repeat("x", 60<<10) + `"}`,
	}
	bad := map[string]string{
		"empty": "", "blank": "  ", "null": "null", "true": "true", "number": "1", "string": `"{}"`, "array": `[]`, "array of objects": `[{}]`,
		"trailing word": `{}junk`, "two objects": `{}{}`, "trailing comma": `{"a":1,}`, "trailing NUL": "{}\x00", "leading NUL": "\x00{}",
		"byte order mark": "\ufeff{}", "comment": "{/**/}", "single quotes": `{'a':1}`, "bare name": `{a:1}`, "truncated": `{"a":`,
		"truncated string": `{"a":"`, "NaN": `{"a":NaN}`, "Infinity": `{"a":-Infinity}`, "leading zero": `{"a":01}`, "plus": `{"a":+1}`,
		"duplicate": `{"a":1,"a":1}`, "duplicate, escaped": `{"a":1,"\u0061":1}`, "duplicate in object": `{"o":{"a":1,"a":2}}`,
		"duplicate in array": `{"o":[[{"a":1,"a":2}]]}`, "duplicate deep": `{"a":{"b":{"c":{"d":1,"d":1}}}}`,
		"case twin": `{"active":false,"Active":true}`, "case twin, long s": "{\"scope\":1,\"\u017fcope\":2}", "case twin, Kelvin": "{\"token\":1,\"to\u212aen\":2}",
		"invalid UTF-8 name": "{\"\xff\":1}", "invalid UTF-8 value": "{\"a\":\"\xc3\x28\"}", "UTF-8 of a surrogate": "{\"a\":\"\xed\xa0\x80\"}",
		"overlong UTF-8": "{\"a\":\"\xc0\xaf\"}", "lone surrogate": `{"a":"\ud800"}`, "control character": "{\"a\":\"\n\"}",
		"UTF-16": "{\x00}\x00", "nested without end": deep(1 << 20), "opened without end": `{"a":` + strings.Repeat("[", 1<<20),
	}
	for _, text := range good {
		if o, err := token.ParseObject([]byte(text)); err != nil || o == nil {
			t.Errorf("%.60q: %v", text, err)
		}
	}
	for name, text := range bad {
		o, err := token.ParseObject([]byte(text))
		if err == nil || o != nil {
			t.Errorf("%s: accepted as %.60v", name, o)
		}
	}
}

// TestObjectShares: members are parts of the text, and what grows out of one spoils no
// other.
func TestObjectShares(t *testing.T) {
	t.Parallel()
	text := []byte(` { "a" : "x" , "\u0062":[ 1, {"c" : 2} ] ,"Cc":-1.50e3,"d":null } `)
	o, err := token.ParseObject(text)
	if err != nil {
		t.Fatal(err)
	}
	for name := range o {
		_ = append(o[name], "spoiled"...)
	}
	got := map[string]string{}
	for name, value := range o {
		got[name] = string(value)
	}
	want := map[string]string{"a": `"x"`, "b": `[ 1, {"c" : 2} ]`, "Cc": `-1.50e3`, "d": `null`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestObjectMembers(t *testing.T) {
	t.Parallel()
	o, err := token.ParseObject([]byte(`{"t":true,"f":false,"s":"x","e":"","n":null,"i":1,"l":["a","b"],"z":[],"m":["a",1],"u":["a",null],"o":{}, "nn":[["a"]]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"s", "e", "n", "i", "l", "o", "absent"} {
		if v, err := o.Bool(name); err == nil || v {
			t.Errorf("Bool(%s) is %t", name, v)
		}
	}
	for name, want := range map[string]bool{"t": true, "f": false} {
		if v, err := o.Bool(name); err != nil || v != want {
			t.Errorf("Bool(%s) is %t, %v", name, v, err)
		}
	}
	for _, name := range []string{"t", "n", "i", "l", "o"} {
		if v, err := o.Text(name); err == nil {
			t.Errorf("Text(%s) is %q", name, v)
		}
	}
	for _, name := range []string{"t", "n", "i", "m", "u", "o", "nn"} {
		if v, err := o.List(name); err == nil {
			t.Errorf("List(%s) is %q", name, v)
		}
	}
	if v, err := o.Text("absent"); v != "" || err != nil {
		t.Errorf("an absent text is %q, %v", v, err)
	}
	for name, want := range map[string]int{"absent": 0, "z": 0, "e": 1, "s": 1, "l": 2} {
		if v, err := o.List(name); err != nil || len(v) != want {
			t.Errorf("List(%s) is %q, %v", name, v, err)
		}
	}
	var none token.Object
	if v, err := none.Bool("active"); err == nil || v {
		t.Error("the nil Object has a boolean")
	}
}

func TestObjectTime(t *testing.T) { // T22
	t.Parallel()
	good := map[string]int64{"0": 0, "-0": 0, "1800000000": 1800000000, "1800000000.0": 1800000000, "1.8e9": 1800000000, "253402300799": 253402300799}
	bad := []string{
		`null`, `""`, `"1800000000"`, `true`, `{}`, `[]`, `[1]`, `-1`, `1.5`, `1800000000.000001`, `1e30`, `1e400`, `9.3e18`, `9223372036854775807`,
		`9223372036854775808`, `18446744073709551617`, `253402300800`, `-9223372036854775808`, strings.Repeat("9", 64<<10), `1e-41`,
	}
	parse := func(value string) (time.Time, error) {
		o, err := token.ParseObject([]byte(`{"exp":` + value + `}`))
		if err != nil {
			t.Fatalf("%.40s: %v", value, err)
		}
		return o.Time("exp")
	}
	for value, want := range good {
		if got, err := parse(value); err != nil || got.Unix() != want || got.IsZero() {
			t.Errorf("%s is %s, %v", value, got, err)
		}
	}
	for _, value := range bad {
		if got, err := parse(value); err == nil || !got.IsZero() {
			t.Errorf("%.40s is %s", value, got)
		}
	}
	if got, err := (token.Object{}).Time("exp"); err != nil || !got.IsZero() {
		t.Errorf("an absent date is %s, %v", got, err)
	}
}

func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":1,"A":2}`, `{"a":{"b":1,"b":2}}`, "{\"s\":1,\"\u017f\":1}", "\ufeff{}", `{}x`, `[`, `{"exp":1e30,"active":"true"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := token.ParseObject(text)
		if err != nil {
			if o != nil {
				t.Fatal("an object beside an error")
			}
			return
		}
		// What is accepted is JSON for a laxer reader too, and says the same to it.
		var lax map[string]json.RawMessage
		if !utf8.Valid(text) || json.Unmarshal(text, &lax) != nil || len(lax) != len(o) {
			t.Fatalf("accepted %q", text)
		}
		for a := range o {
			if string(o[a]) != string(lax[a]) {
				t.Fatalf("%q is %q, want %q", a, o[a], lax[a])
			}
			for b := range o {
				if a != b && strings.EqualFold(a, b) {
					t.Fatalf("accepted %q beside %q", a, b)
				}
			}
			if at, err := o.Time(a); err == nil && (at.Unix() < 0 || at.Year() > 9999) {
				t.Fatalf("%s is %s", o[a], at)
			}
			if v, err := o.Bool(a); v && (err != nil || string(o[a]) != "true") {
				t.Fatalf("%s is true", o[a])
			}
		}
	})
}
