#!/usr/bin/env bash
# Asks a deployed platform what a caller would: refused without a key, answered with one.
#   API_KEY=... BEARER=... images/smoke.sh https://....amazonaws.com/v1-stage/
# API_KEY is that of the REST API (x-api-key), BEARER one of the scoring service (prop_...). Neither is printed, nor seen by `ps`.
set -euo pipefail
address=${1:?smoke: give the address of the REST API}
: "${API_KEY:?smoke: API_KEY is not set}" "${BEARER:?smoke: BEARER is not set}"
address=${address%/}
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
chmod 600 "$headers"

# ask EXPECTED PATH: try again for a minute, for a deployment may still be settling.
ask() {
    local status
    for _ in {1..12}; do
        status=$(curl --silent --output /dev/null --max-time 29 --write-out '%{http_code}' --header "@$headers" "$address$2") || status=000
        if [ "$status" = "$1" ]; then
            echo "smoke: $2 answers $1"
            return 0
        fi
        sleep "${PAUSE_S:-5}"
    done
    echo "smoke: $2 answers $status, not $1" >&2
    return 1
}

: >"$headers"
ask 403 /v1/campaigns
printf 'x-api-key: %s\nAuthorization: Bearer %s\n' "$API_KEY" "$BEARER" >"$headers"
ask 200 /v1/campaigns
