#!/usr/bin/env bash
# make release: the binaries of a release in dist/, each with its bill of materials, and their checksums. The same source, version,
# commit and Go release give the same bytes, wherever they are built. PLATFORMS="linux/amd64 …" builds only these, DIST is another directory.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:?usage: release.sh VERSION [COMMIT]}
commit=${2:-}
dist=${DIST:-dist}
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64}

case $version in
  */* | *[[:space:]]*) printf 'release.sh: %s is no version that a file can be named by\n' "$version" >&2; exit 1 ;;
esac
rm -rf "$dist"
mkdir -p "$dist"

# The Makefile sets the tag that the binaries are built with, but this script may be run without it.
export CGO_ENABLED=0 GOFLAGS=-tags=disable_grpc_modules
for platform in $platforms; do
  file=olympus-$version-${platform%/*}-${platform#*/}
  printf 'building %s\n' "$file" >&2
  # GOAMD64 and GOARM64 at their lowest, so that what the builder's environment says changes nothing.
  GOOS=${platform%/*} GOARCH=${platform#*/} GOAMD64=v1 GOARM64=v8.0 \
    go build -trimpath -buildvcs=false -ldflags "-X main.version=$version -X main.commit=$commit" -o "$dist/$file" .
  go run -buildvcs=false ./packaging/sbom -name olympus -version "$version" "$dist/$file" >"$dist/$file.cdx.json"
done
cd "$dist"
if command -v sha256sum >/dev/null; then
  sha256sum olympus-* >SHA256SUMS
else
  shasum -a 256 olympus-* >SHA256SUMS
fi
