# Durward as an image: one static binary on certificate authorities, and nothing else.
#
#   docker build -t durward --build-arg VERSION=v1.2.3 .
#   docker run --read-only -v "$PWD/catalogue:/etc/durward:ro" -p 9001:9001 -p 18000:18000 -p 8081:8081 durward
#
# The catalogue in /etc/durward, a directory of *.yaml, and the secrets that it names must
# be readable by user 65532 and writable by nobody else. Its listeners are on loopback
# unless it says otherwise; probes from outside need listeners.ops.address 0.0.0.0:8081.

# Arguments, so that a mirror can stand in, or a digest. The second needs certificate
# authorities at /etc/ssl/certs/ca-certificates.crt; it should have no shell.
ARG GO_IMAGE=docker.io/library/golang:1.26
ARG BASE_IMAGE=gcr.io/distroless/static-debian12

# The compiler runs on the builder's own platform and cross-compiles.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
# A layer of its own: it outlives every edit that leaves the dependencies alone.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=devel
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags="-s -w -X main.version=$VERSION" -o /out/durward ./cmd/durward

FROM ${BASE_IMAGE}
ARG VERSION=devel
LABEL org.opencontainers.image.title="durward" \
      org.opencontainers.image.description="Envoy external authorization for APIs whose users sign in with Okta" \
      org.opencontainers.image.source="https://github.com/durward/durward" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /out/durward /durward
# A number, for there is no /etc/passwd to look a name up in, and runAsNonRoot needs one.
USER 65532:65532
# ext_authz, xDS, operations.
EXPOSE 9001 18000 8081
# Health is HTTP: GET /healthz and GET /readyz on 8081. A HEALTHCHECK would need a shell or
# a client in here; orchestrators probe from outside.
ENTRYPOINT ["/durward"]
CMD ["serve", "-c", "/etc/durward"]
