package login

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/cli/browser"
)

// OpenBrowser shows a URL in the user's browser: the first command of $BROWSER that is
// there, with the URL in place of %s or at the end, or else what the system opens URLs
// with. It may return only when the browser ends.
func OpenBrowser(url string) error {
	list := os.Getenv("BROWSER")
	if list == "" {
		browser.Stdout, browser.Stderr = io.Discard, io.Discard // they would write into ours
		return browser.OpenURL(url)
	}
	for command := range strings.SplitSeq(list, string(os.PathListSeparator)) {
		args := strings.Fields(command)
		if len(args) == 0 {
			continue
		}
		if _, err := exec.LookPath(args[0]); err != nil {
			continue
		}
		named := false
		for i, arg := range args {
			named = named || strings.Contains(arg, "%s")
			args[i] = strings.ReplaceAll(arg, "%s", url)
		}
		if !named {
			args = append(args, url)
		}
		return exec.Command(args[0], args[1:]...).Run() //nolint:noctx // the browser outlives the login
	}
	return errors.New("no command of $BROWSER is on PATH")
}
