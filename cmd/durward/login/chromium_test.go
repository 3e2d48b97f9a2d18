package login

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// chromium starts a real browser with one tab. Where there is none the test is skipped,
// unless DURWARD_REQUIRE_ALL is set.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("DURWARD_REQUIRE_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip("chromium is not installed (on Debian: apt-get install chromium)")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to run as root otherwise
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

// accessible returns what a screen reader finds on the page: "role: name" for each node.
func accessible(ctx context.Context) (found []string, err error) {
	tree, err := chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil || n.Name == nil {
			continue
		}
		var role, name string
		if err := errors.Join(json.Unmarshal(n.Role.Value, &role), json.Unmarshal(n.Name.Value, &name)); err != nil {
			return nil, err
		}
		found = append(found, role+": "+name+state(n))
	}
	return found, err
}

// state is what a screen reader adds: where the focus is, and what a field holds.
func state(n *accessibility.Node) (text string) {
	for _, p := range n.Properties {
		if p.Name == accessibility.PropertyNameFocused && p.Value != nil && string(p.Value.Value) == "true" {
			text += ", focused"
		}
	}
	if n.Role != nil && string(n.Role.Value) == `"textbox"` && n.Value != nil && string(n.Value.Value) != `""` {
		text += ", " + string(n.Value.Value)
	}
	return text
}

// shows waits until a screen reader finds all of this.
func shows(t *testing.T, ctx context.Context, want ...string) []string {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		found, err := accessible(ctx)
		missing := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return slices.Contains(found, w) })
		if err == nil && len(missing) == 0 {
			return found
		}
		if time.Now().After(deadline) {
			t.Errorf("the page has no %q (%v):\n%s", missing, err, strings.Join(found, "\n"))
			return found
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A person with a keyboard alone signs in at the sign-in page and reads on the callback
// page that it is done; the same without JavaScript.
func TestChromium(t *testing.T) {
	t.Parallel()
	for _, scripts := range []bool{true, false} {
		name := "scripts"
		if !scripts {
			name = "no scripts"
		}
		t.Run(name, func(t *testing.T) {
			ctx := chromium(t)
			w := newWorld(t)
			w.Timeout = time.Minute
			typed := make(chan error, 1)
			w.Browser = func(address string) error {
				_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !scripts})
				if err == nil {
					err = chromedp.Do(ctx, chromedp.Navigate(address))
				}
				if err == nil {
					// The first field has the focus. On a busy machine keys get lost before it does.
					shows(t, ctx, "heading: Sign in", "textbox: Username, focused", "textbox: Password", "button: Sign in")
					err = chromedp.Do(ctx, chromedp.KeyEvent("alice@example.com"))
				}
				if err == nil {
					shows(t, ctx, `textbox: Username, focused, "alice@example.com"`)
					err = chromedp.Do(ctx, chromedp.KeyEvent(kb.Tab))
				}
				if err == nil {
					shows(t, ctx, "textbox: Password, focused")
					err = chromedp.Do(ctx, chromedp.KeyEvent("any will do"), chromedp.KeyEvent(kb.Enter))
				}
				typed <- err
				return err
			}
			one, err := Login(t.Context(), w.Options)
			if err != nil {
				t.Fatalf("%v\n%s", err, w.out)
			}
			if err := <-typed; err != nil {
				t.Fatal(err)
			}
			w.nobodyListens(t)
			found := shows(t, ctx, "heading: Signed in", "StaticText: alice@example.com", "StaticText: mobile", "StaticText: You may close this tab.")
			_, f := w.stored(t)
			holdsNone(t, "the page", strings.Join(found, "\n"), f.AccessToken, f.RefreshToken)
			if one.User != "alice@example.com" {
				t.Errorf("signed in as %q", one.User)
			}
			// The script takes the spent code out of the address; it is all that needs one.
			address, err := chromedp.Run(ctx, chromedp.Location())
			if err != nil || strings.Contains(address, "code=") == scripts {
				t.Errorf("the code is in the address: %t, %v", !scripts, err)
			}
		})
	}
}
