package oktatest_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"

	"github.com/durward/durward/policy/oktatest"
)

// In a test, oktatest.New(t) starts and stops the server.
func Example() {
	okta, err := oktatest.NewServer(oktatest.DefaultConfig())
	if err != nil {
		log.Fatal(err)
	}
	if err := okta.Start("127.0.0.1:0"); err != nil {
		log.Fatal(err)
	}
	defer okta.Close()

	token, err := okta.Token(oktatest.TokenRequest{
		Client: "mobile", User: "alice@example.com", Scopes: []string{"openid", "orders.read"},
	})
	if err != nil {
		log.Fatal(err)
	}
	introspect := func() string {
		gateway := okta.Client("gateway")
		resp, err := http.PostForm(okta.Issuer("default")+"/v1/introspect", url.Values{
			"token": {token}, "client_id": {gateway.ID}, "client_secret": {gateway.Secret},
		})
		if err != nil {
			log.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			log.Fatal(err)
		}
		return string(body)
	}

	fmt.Printf("%.50s\n", introspect())
	if err := okta.Revoke(token); err != nil {
		log.Fatal(err)
	}
	fmt.Println(introspect())
	fmt.Println(okta.Calls(oktatest.Introspect), "calls")
	// Output:
	// {"active":true,"scope":"openid orders.read","usern
	// {"active":false}
	// 2 calls
}
