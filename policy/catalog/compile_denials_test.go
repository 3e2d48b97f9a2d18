package catalog

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

func TestDenials(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	cat, findings := compileChanged(t, denials(
		&durwardv1.Denial{UserId: "u", Reason: "left"},
		&durwardv1.Denial{ClientId: "0oaMobile", Until: timestamppb.New(now), Reason: "leak"},
		&durwardv1.Denial{TokenId: "t", Until: timestamppb.New(now.Add(time.Second)), Reason: "stolen"},
		&durwardv1.Denial{ClientId: "0oaNobody", Reason: "gone"},
	))
	if cat == nil || len(findings) != 1 || findings[0].Code != uselessDenial || findings[0].Severity != Warning {
		t.Fatalf("findings: %v", findings)
	}
	for _, tt := range []struct {
		user, client, token string
		at                  time.Time
		want                *Denial
	}{
		{"u", "0oaMobile", "t", now, cat.Denials[0]},
		{"", "0oaMobile", "", now.Add(-time.Nanosecond), cat.Denials[1]},
		{"", "0oaMobile", "", now, nil},
		{"", "", "t", now, cat.Denials[2]},
		{"", "", "t", now.Add(time.Second), nil},
		{"U", "0oamobile", "T", now, nil},
		{"t", "u", "0oaMobile", now.Add(-time.Hour), nil},
		{"", "", "", now, nil},
	} {
		if got := cat.Denial(tt.user, tt.client, tt.token, tt.at); got != tt.want {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
	if d := compileExample(t).Denial("u", "c", "t", now); d != nil {
		t.Errorf("nobody is denied, but for %+v", d)
	}
}

func TestEnabled(t *testing.T) {
	t.Parallel()
	no, yes := false, true
	cat, findings := compileChanged(t, func(c *durwardv1.Config) {
		c.Organizations[0].Enabled = &no
		c.Organizations[0].Applications[0].Enabled = &no
		c.Organizations[0].Applications[1].Enabled = &yes
	})
	if cat == nil {
		t.Fatalf("findings: %v", findings)
	}
	o := cat.Organizations[0]
	if !o.Disabled || !o.Applications[0].Disabled || o.Applications[1].Disabled || cat.Organizations[1].Disabled {
		t.Errorf("organization %+v", o)
	}
}
