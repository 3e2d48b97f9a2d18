// Package durwardv1 is the schema of Durward's configuration, generated from
// the .proto files beside it. It holds no logic: the rules on single fields are
// protovalidate options, all others live in policy/catalog.
package durwardv1

//go:generate go run -C ../../../.ci/tools ./protogen -root ../../proto
