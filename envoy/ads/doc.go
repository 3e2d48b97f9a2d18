// Package ads serves what package envoy wrote to the Envoys themselves: one aggregated
// delta xDS stream per Envoy, and a record of what each has acknowledged and refused.
//
// Trust boundary: an Envoy says itself, in node.cluster, which gateway it is. Where the
// port asks for client certificates, the caller's has to hold a name that the gateway
// allows, at every request and every response; which certificates those are is for the
// port to verify. Where it asks for none, who can connect can read every gateway's
// resources, which hold no secret but name hosts and backends: the listener must then
// be loopback or a unix socket with the permissions that are meant.
//
// An Envoy that refuses an update keeps what it has, and names neither host nor route.
// The APIs that changed in what it refused are parked: they stay as an Envoy last
// accepted them, or out, until they change, and all others are published. Of several,
// the guilty are found by offering halves. What one Envoy has refused is not sent to it
// again. None of that outlives the process: an Envoy that refuses after a restart, with
// something of before that this process never saw, is left as it is.
//
// The package refuses the other xDS services and the state-of-the-world protocol
// (UNIMPLEMENTED), gateways that are not in the catalogue, types of resources it does
// not serve, and a catalogue of which any gateway cannot be translated: then every
// Envoy keeps what it has.
package ads
