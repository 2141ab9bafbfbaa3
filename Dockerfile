# Only sidekey: no shell, no libc, no root.
#
#     docker build -t sidekey .
#
# The image has no git history: --build-arg VERSION="$(git describe --tags --always --dirty)" sets
# what "sidekey version" prints instead of "unknown".

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 GOFLAGS= go build -trimpath -buildvcs=false \
      -ldflags "-s -w -buildid= -X sidekey/internal/version.release=$VERSION" -o /sidekey .
RUN mkdir -m 0700 /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /sidekey /sidekey
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
WORKDIR /
VOLUME /data
# The default listeners are on loopback. Let the proxy share the container's network namespace, as
# in examples/docker-compose.yaml, or mount a configuration with other addresses.
#
# Podman ignores HEALTHCHECK unless it builds with --format docker.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/sidekey", "healthcheck"]
ENTRYPOINT ["/sidekey"]
