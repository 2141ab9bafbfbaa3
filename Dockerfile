# sidekey alone: no shell, no libc, no root.
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
# The listeners are on loopback: give the proxy the same network name space, as in
# examples/docker-compose.yaml, or mount a configuration that listens elsewhere.
# Podman drops the line unless it builds with --format docker.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["/sidekey", "healthcheck"]
ENTRYPOINT ["/sidekey"]
