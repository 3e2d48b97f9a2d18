package serve

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/durward/durward/policy/token/jwt"
)

const (
	// keysEvery is how often the keys of a server are looked at.
	keysEvery = time.Second
	// maxToldKeys and maxToldText bound what the log is told of keys, for the document is
	// the server's.
	maxToldKeys = 8
	maxToldText = 1000
)

// keyTrouble is what the log was told last of the keys of a server; empty is none.
type keyTrouble struct{ dropped, failure string }

// watchKeys tells the log of keys that are dropped, and of keys that cannot be had: once
// for each change, until ctx ends.
func watchKeys(ctx context.Context, keys *jwt.Keys, log *slog.Logger) {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	var told keyTrouble
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			told = told.tell(keys.Status(), log)
		}
	}
}

// tell compares the keys with what was told, and returns what is told then.
func (k keyTrouble) tell(s jwt.Status, log *slog.Logger) keyTrouble {
	now := keyTrouble{dropped: droppedText(s.Dropped)}
	if s.Err != nil {
		now.failure = cut(s.Err.Error())
	}
	switch {
	case now.failure == "" && k.failure != "":
		log.Info("the server's keys can be fetched again", "keys", len(s.KeyIDs))
	case now.failure != "" && k.failure == "": // whatever the next reason is, it is one trouble
		log.Error("the server's keys cannot be fetched; the last good ones stay in use for a day at most",
			"error", now.failure, "keys", len(s.KeyIDs), "fetched", s.FetchedAt, "fix", "see that the issuer's jwks_uri answers, and with usable keys")
	}
	switch {
	case now.dropped == "" && k.dropped != "":
		log.Info("all keys of the server can be used again", "keys", len(s.KeyIDs))
	case now.dropped != k.dropped:
		log.Warn("keys of the server cannot be used; tokens that they sign are refused",
			"dropped", now.dropped, "keys", len(s.KeyIDs), "fix", "where such tokens are good, add their algorithm to the authorization server's algorithms; else rotate its keys in Okta")
	}
	return now
}

// droppedText is empty where nothing was dropped.
func droppedText(dropped []error) string {
	var reasons []string
	for _, err := range dropped[:min(len(dropped), maxToldKeys)] {
		reasons = append(reasons, err.Error())
	}
	if len(dropped) > maxToldKeys {
		reasons = append(reasons, "and others")
	}
	return cut(strings.Join(reasons, "; "))
}

func cut(text string) string {
	if len(text) > maxToldText {
		return strings.ToValidUTF8(text[:maxToldText], "") + "…"
	}
	return text
}
