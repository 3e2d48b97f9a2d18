package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"

	"github.com/durward/durward/cmd/durward/explain"
)

// junit is JUnit XML, as far as the readers of it agree.
type junit struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

// junitSuite is a file of tests, or a configuration that cannot be read.
type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
	took     time.Duration
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
}

type junitProblem struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func writeJUnit(w io.Writer, all []tested) error {
	report := junit{Name: "durward test"}
	for _, t := range all {
		if len(t.findings) > 0 {
			report.add(suiteOf(testedFile{path: t.path, findings: t.findings}))
		}
		for _, f := range t.files {
			report.add(suiteOf(f))
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(report); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (j *junit) add(s junitSuite) {
	j.Tests, j.Failures, j.Errors = j.Tests+s.Tests, j.Failures+s.Failures, j.Errors+s.Errors
	j.Suites = append(j.Suites, s)
}

func suiteOf(f testedFile) junitSuite {
	s := junitSuite{Name: f.path, Tests: len(f.results) + len(f.findings), Errors: len(f.findings)}
	for _, found := range f.findings {
		s.Cases = append(s.Cases, junitCase{
			Name: found.Code, Class: f.path, Time: seconds(0),
			Error: &junitProblem{found.Code, found.String(), found.Text(nil)},
		})
	}
	for _, r := range f.results {
		c := junitCase{Name: r.Case.Name, Class: f.path, Time: seconds(r.Took)}
		if len(r.Wrong) > 0 {
			s.Failures++
			c.Failure = &junitProblem{"decision", r.Wrong[0], fmt.Sprintf("%s:%d:%d\n%s", r.Case.At.File, r.Case.At.Line, r.Case.At.Column, failure(r, explain.Style{}))}
		}
		s.took += r.Took
		s.Cases = append(s.Cases, c)
	}
	s.Time = seconds(s.took)
	return s
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }
