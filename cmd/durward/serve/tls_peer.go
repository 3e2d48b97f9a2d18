package serve

import (
	"context"

	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"
)

// peerNames returns the names of the certificate by which whoever calls was let in, and
// none where the port asks for no certificate.
func peerNames(ctx context.Context) []string {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.PeerCertificates) == 0 {
		return nil
	}
	return namesOf(info.State.PeerCertificates[0])
}
