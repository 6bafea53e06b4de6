#!/usr/bin/env bash
# Makes the passwords for compose.yaml in .propensity/compose, once: what is there stays, for Postgres knows it already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-.propensity/compose}
roles=(propensity_owner propensity_app propensity_reader mlflow prefect grafana)

umask 077
mkdir -p "$folder"

# 32 letters and digits, which need no quoting anywhere.
password() { head -c 256 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | cut -c 1-32; }

# What no database knows: made where it is not there yet, also beside passwords of an earlier version.
others() {
    [ -e "$folder/api.env" ] || echo "PROPENSITY_SESSION_SECRET=$(password)" >"$folder/api.env"
    [ -e "$folder/retention.env" ] || sed -n 's/^PGPASSWORD=/PROPENSITY_PREFECT_DATABASE_PASSWORD=/p' "$folder/prefect.env" >"$folder/retention.env"
    [ -e "$folder/alerts.env" ] || cat >"$folder/alerts.env" <<'HINT'
# Whom the platform tells of alerts (docs/alerts.md). Nobody where nothing is set.
#PROPENSITY_ALERTS_WEBHOOK_URL=https://...
#PROPENSITY_ALERTS_SLACK_URL=https://...
#PROPENSITY_ALERTS_SMTP_URL=smtps://user:password@host:465
#PROPENSITY_ALERTS_MAIL_FROM=propensity@example.com
#PROPENSITY_ALERTS_MAIL_TO=team@example.com
HINT
    [ -e "$folder/grafana-alerts.env" ] || cat >"$folder/grafana-alerts.env" <<'HINT'
# Whom Grafana tells of its own alert rules (docs/grafana.md). Nobody where nothing is set.
#PROPENSITY_ALERT_WEBHOOK=https://...
#PROPENSITY_ALERT_EMAIL=team@example.com
#GF_SMTP_ENABLED=true
#GF_SMTP_HOST=host:587
#GF_SMTP_USER=...
#GF_SMTP_PASSWORD=...
#GF_SMTP_FROM_ADDRESS=grafana@example.com
#GF_SMTP_STARTTLS_POLICY=MandatoryStartTLS
HINT
}
if [ -e "$folder/databases.env" ]; then
    others
    echo "secrets: $folder is there already; remove it only together with the volumes (docker compose down --volumes)" >&2
    exit 0
fi

declare -A of
for role in admin grafana_admin prefect_api "${roles[@]}"; do of[$role]=$(password); done
url() { echo "postgresql://$1:${of[$1]}@postgres:5432/$2"; }

# Postgres's own process reads this one, under a number of its own.
printf '%s' "${of[admin]}" >"$folder/postgres"
chmod 644 "$folder/postgres"
echo "PGPASSWORD=${of[propensity_app]}" >"$folder/app.env"
echo "PGPASSWORD=${of[mlflow]}" >"$folder/mlflow.env"
printf '%s\n' "PGPASSWORD=${of[prefect]}" "PREFECT_SERVER_API_AUTH_STRING=propensity:${of[prefect_api]}" >"$folder/prefect.env"
echo "PREFECT_API_AUTH_STRING=propensity:${of[prefect_api]}" >"$folder/worker.env"
printf '%s\n' "GF_DATABASE_PASSWORD=${of[grafana]}" "GF_SECURITY_ADMIN_PASSWORD=${of[grafana_admin]}" \
    "PROPENSITY_READER_PASSWORD=${of[propensity_reader]}" >"$folder/grafana.env"
printf '%s\n' "PROPENSITY_DATABASE_URL=$(url propensity_app propensity)" "PROPENSITY_OWNER_URL=$(url propensity_owner propensity)" \
    "PREFECT_API_AUTH_STRING=propensity:${of[prefect_api]}" >"$folder/operator.env"
others
# Last: its presence says that the databases' passwords are all there.
{
    echo "PROPENSITY_ADMIN_PASSWORD=${of[admin]}"
    for role in "${roles[@]}"; do echo "PROPENSITY_PASSWORD_${role^^}=${of[$role]}"; done
} >"$folder/databases.env"
echo "secrets: made in $folder. Grafana's first sign-in is admin with GF_SECURITY_ADMIN_PASSWORD of $folder/grafana.env"
