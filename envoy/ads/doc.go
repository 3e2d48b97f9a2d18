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
// An Envoy that refuses an update keeps what it has, and names neither host nor route, nor
// which of several resources it means. These are therefore offered again in halves, and all
// but the refused are taken. What one Envoy has refused is not sent to it again, but it is
// not taken from others either: who refuses something of the whole catalogue is set apart,
// and rejoins the others when that is not published any more. For those apart the APIs that
// changed in what is left are parked: they stay as such an Envoy last accepted them, or out,
// until they change, and all others are published. Of several, the guilty are found by
// offering halves. Those apart share what they go without, so that a fleet costs two
// translations and not one for each Envoy. An API that all refuse is thus one that nobody
// has: they are all apart.
//
// Envoys are told apart by node id, release and certificate. Replicas that have all three in
// common are told apart for as long as they are connected: what one refuses, another may
// have. Only if it was the last of its name to leave does one that comes under that name
// count as having refused it.
//
// None of that outlives the process. After a restart an Envoy refuses once more what it
// refused before, and may have in the same table, from before, APIs that must not be taken
// from it to find out which is wrong. They are left out one at a time, so that the first
// update that it accepts lacks nothing but the guilty. How that was before is not known: it
// is out.
//
// An Envoy that does not answer is waited for once, half a second, and then not counted
// until it does.
//
// The words: an audience is the Envoys of a gateway that are told the same, the others or
// those apart. An edition is one state of what an audience is told. A charge is a refusal
// with what its Envoy had before. A part is resources that an Envoy is to be sent, but not
// yet: halves of what it refused, and tables whose clusters it lacks. A trial is an edition
// with suspects in it. The turn is held by who makes and installs editions; checking a
// catalogue ([Server.Prepare]) needs none.
//
// The order of locks: turn, then mu. The library, which has locks of its own, is called
// without mu.
//
// Nothing that is still led to is removed: whatever an Envoy has in excess, be it from a
// catalogue before this one or from before a restart, it loses last. Nor does anything come
// that leads nowhere: a route table waits until its clusters are acknowledged.
//
// The package refuses the other xDS services and the state-of-the-world protocol
// (UNIMPLEMENTED), gateways that are not in the catalogue, types of resources it does
// not serve, and a catalogue of which any gateway cannot be translated: then every
// Envoy keeps what it has.
package ads
