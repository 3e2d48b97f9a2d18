package ads_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/durward/durward/envoy/ads"
)

// What is prepared is sent when it is published, and not before.
func TestPreparedIsNotPublished(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	envoy := c.connect(t)
	envoy.begin("http://one:80")

	if _, err := c.Prepare(t.Context(), plain(t, api("orders", "/orders", "http://never"))); err != nil {
		t.Fatal(err)
	}
	next, err := c.Prepare(t.Context(), plain(t, api("orders", "/orders", "http://one"), api("more", "/orders/more", "http://two")))
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Publish(); err != nil {
		t.Fatal(err)
	}
	if err := next.Publish(); err == nil {
		t.Error("published twice")
	}
	envoy.want("Cluster +http://two:80")
	envoy.ack("type.googleapis.com/envoy.config.cluster.v3.Cluster")
	envoy.want("RouteConfiguration +" + ordersTable)
}

// What is checked before it serves waits for nobody: neither for another publication nor
// for the search for what an Envoy refuses.
func TestPrepareWaitsForNobody(t *testing.T) {
	t.Parallel()
	c := startControlPlane(t)
	c.publish(t, api("orders", "/orders", "http://one"))
	giveBack := c.TakeTurn()
	short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	next, err := c.Prepare(short, plain(t, api("orders", "/orders", "http://two")))
	if err != nil {
		t.Fatal(err)
	}
	published := make(chan error, 1)
	go func() { published <- next.Publish() }()
	select {
	case err := <-published:
		t.Errorf("published while something else is installed: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	giveBack()
	if err := <-published; err != nil {
		t.Error(err)
	}
	late, err := c.Prepare(t.Context(), plain(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := late.Publish(); !errors.Is(err, ads.ErrClosed) {
		t.Errorf("publish after close: %v", err)
	}
}
