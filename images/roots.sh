#!/usr/bin/env bash
# Whether every root certificate that the images verify the database with is one that AWS publishes: images/roots.sh
# BUNDLE names AWS' own file where it was fetched already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source=https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
bundle=${BUNDLE:-}
if [ -z "$bundle" ]; then
    bundle=$(mktemp)
    trap 'rm -f "$bundle"' EXIT
    curl --fail --silent --show-error --max-time 60 --output "$bundle" "$source" || { echo "roots: $source cannot be fetched" >&2; exit 1; }
fi
# One certificate a line, its lines joined.
certificates() { awk '/-----BEGIN CERT/{on=1; text=""; next} /-----END CERT/{on=0; print text; next} on{text=text $0}' "$1" | tr -d '\r' | sort -u; }
strange=$(comm -23 <(certificates propensity/adapters/rds-roots.pem) <(certificates "$bundle") | wc -l)
count=$(certificates propensity/adapters/rds-roots.pem | wc -l)
[ "$strange" -eq 0 ] || { echo "roots: $strange of $count certificates are not among those that AWS publishes" >&2; exit 1; }
echo "all $count certificates are among those that AWS publishes"
