package serve

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// Ten thousand checks of one unknown token are one question. Two thousand are under way at
// any time: clients, server and Okta share this process, and with more the attempt's own
// second may end before they all had a turn.
func TestOneQuestionForTenThousandChecks(t *testing.T) {
	i, s, _ := single(t)
	i.answer(i.delayed(300 * time.Millisecond))
	text := i.mint(t, time.Hour)
	conns := make([]*grpc.ClientConn, 4) // of 1,024 streams at most
	for k := range conns {
		conns[k] = connect(t, s.Catalogue().Listeners.Check.Address)
	}
	got, times := crowdOver(t, conns, 10_000, 2000, time.Minute, func(int) (string, string) { return "main-long", text })
	if got["allow"] != 10_000 || i.asked.Load() != 1 {
		t.Errorf("%v and %d questions, want 10000 allows and 1", got, i.asked.Load())
	}
	t.Logf("10000 checks, %d question; median %s", i.asked.Load(), ms(percentile(times, 50)))
}

// The server needs longer than Envoy waits: one check pays, all others profit.
func TestSlowServerImpatientEnvoy(t *testing.T) {
	i, _, conn := single(t)
	i.answer(i.delayed(300 * time.Millisecond))
	text := i.mint(t, time.Hour)
	baseline(t, conn) // connects
	got := map[string]int{}
	for range 60 {
		outcome, _ := tell(t.Context(), conn, "main-long", text, 200*time.Millisecond)
		got[outcome]++
	}
	if got["allow"] < 59 || i.asked.Load() != 1 {
		t.Errorf("%v and %d questions, want at least 59 allows and 1", got, i.asked.Load())
	}
	t.Logf("60 checks: %v, %d question", got, i.asked.Load())
}

// Another configuration asks nothing again.
func TestGenerationSwapAsksNothing(t *testing.T) {
	i := newIdp(t)
	e := newEdge(t, i)
	s, conn := e.launch(t)
	tried(t, s)
	texts := make([]string, 50)
	for k := range texts {
		texts[k] = i.mint(t, time.Hour)
		expect(t, conn, "main-long", texts[k], "allow")
		expect(t, conn, "main-jwt", texts[k], "allow")
	}
	asked, fetched, revision := i.asked.Load(), i.fetched.Load(), s.Catalogue().Revision
	text := strings.Replace(e.text(), "path: \"/{id}\"", "path: \"/{name}\"", 1)
	if err := writePrivate(filepath.Clean(e.file), text); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := s.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			expect(t, conn, "main-long", text, "allow")
			expect(t, conn, "main-jwt", text, "allow")
		}
	}
	if s.Catalogue().Revision == revision {
		t.Error("nothing was swapped")
	}
	if a, f := i.asked.Load()-asked, i.fetched.Load()-fetched; a != 0 || f != 0 {
		t.Errorf("%d questions and %d fetches of keys after the swap, want none", a, f)
	}
}
