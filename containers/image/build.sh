#!/bin/sh
# Builds the three images with whichever engine there is, from the arguments of ../build.env. `make images` runs it.
#   TAG      what to tag them with: postgres-etl:<target>-$TAG; by default the commit
#   ENGINE   docker or podman, where both are there
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "images: $*" >&2
    exit 78
}

# shellcheck source=/dev/null
. ./build.env
for name in BASE BASE_DIGEST RDS_CA_SHA256 PG_MAJOR; do
    eval "value=\${$name}"
    [ -n "$value" ] || fail "containers/build.env has no $name; what it is for stands beside it"
done
case $BASE_DIGEST in
    sha256:????????????????????????????????????????????????????????????????) ;;
    *) fail "BASE_DIGEST in containers/build.env is no digest: sha256: and 64 hex digits" ;;
esac
[ -f rds-ca.pem ] || fail "containers/rds-ca.pem is missing: containers/build.env says where it comes from"
echo "$RDS_CA_SHA256  rds-ca.pem" | sha256sum --check --status --strict - 2> /dev/null \
    || fail "containers/rds-ca.pem is not the bundle that RDS_CA_SHA256 in containers/build.env names"

engine=${ENGINE:-}
for candidate in docker podman; do
    [ -n "$engine" ] || ! "$candidate" info > /dev/null 2>&1 || engine=$candidate
done
[ -n "$engine" ] || fail "neither docker nor podman answers here: install one, or start its service"

tag=${TAG:-$(git rev-parse --short=12 HEAD)}
for target in dispatcher migrator transform; do
    echo "images: $target with $engine"
    "$engine" build --target "$target" --tag "postgres-etl:$target-$tag" \
        --build-arg "BASE=$BASE" --build-arg "BASE_DIGEST=$BASE_DIGEST" \
        --build-arg "PG_MAJOR=$PG_MAJOR" --build-arg "RDS_CA_SHA256=$RDS_CA_SHA256" .
done
