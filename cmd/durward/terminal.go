package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// style writes words with colour where that helps. Colour never stands alone: every
// coloured word says the same without.
type style struct{ on bool }

// styleFor follows --color: always, never, or auto, which is on for a terminal unless
// NO_COLOR is set or TERM is dumb.
func styleFor(cmd *cobra.Command, w io.Writer) style {
	switch mode, _ := cmd.Flags().GetString("color"); mode {
	case "always":
		return style{true}
	case "never":
		return style{}
	}
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return style{}
	}
	return style{isTerminal(w)}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// good, bad and faint are green, red and grey.
func (s style) good(text string) string  { return s.paint("32", text) }
func (s style) bad(text string) string   { return s.paint("31", text) }
func (s style) faint(text string) string { return s.paint("2", text) }

func (s style) paint(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
