"""What differs between a laptop, a test and an AWS account: read once, where a process is put together."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from propensity.errors import SettingsInvalid


class Settings(BaseSettings):
    """Environment variables with the prefix ``PROPENSITY_``.

    Attributes
    ----------
    home : Path
        State folder of the platform on one machine.
    data_dir : Path or None
        Folder with the public data files; None means that they are fetched or drawn.
    source : str
        Where flows ingest from when nobody says otherwise: ``public``, ``synthetic``, ...
    database_url : SecretStr
        ``postgresql://`` address of the database ``propensity``, with the application role that may only insert and select.
    owner_url : SecretStr or None
        The same database with the role that owns the tables: migrations alone need it.
    store_url : str
        Object storage: ``file:///folder`` or ``s3://bucket/prefix``.
    s3_endpoint_url : str or None
        Another S3 endpoint than AWS.
    mlflow_url : SecretStr
        MLflow tracking and registry address; on one machine the database itself.
    mlflow_artifacts : str
        Where MLflow keeps artifacts, ``file:///folder`` or ``s3://bucket/prefix``.
    api_host, api_port : str, int
        Where the scoring service listens. Port 0 takes a free one.
    api_threads : int
        Requests worked on at once.
    api_rate_per_s : float
        Requests per second that a key is good for where it has no rate of its own; twice as many at once. Counted by each process.
    reload_s : float
        Seconds between two looks for a new live model, and for new and revoked keys.
    session_secret : SecretStr
        Signs the cookies of people who are signed in to the pages: 32 characters at least, the same in every process that serves. Empty: a
        secret of the process' own, so that a restart signs everybody out.
    otlp_endpoint : str
        Base address of an OpenTelemetry collector that takes OTLP over HTTP, ``http://127.0.0.1:4318``; empty for no traces.
    alerts_topic_arn, alerts_webhook_url, alerts_slack_url, alerts_smtp_url : str or SecretStr
        Where alerts are told, each on its own (docs/alerts.md): an SNS topic, any address that takes JSON, an incoming webhook as Slack's,
        a mail server. Empty ones are no channel; without any, alerts are kept in the tables and the log alone.
    alerts_webhook_secret : SecretStr or None
        Signs what the webhook is sent.
    alerts_mail_from, alerts_mail_to : str
        Sender and receivers of letters, the latter separated by commas.
    alerts_repeat_h : float
        Hours after which an open alert that nobody acknowledged is told again; 0 for never.
    alerts_base_url, alerts_runbook_url : str
        Where people reach the scoring service and the runbook: the heads of links in messages.
    checks_every_s : float
        Seconds between two checks of the flows.
    prefect_database_url, prefect_database_password : SecretStr or None
        Database of the Prefect server, for the job that removes its old events; its password where the address has none, since
        ``PGPASSWORD`` is that of the platform's own database.
    prefect_events_days, prefect_logs_days : int
        How long Prefect's events and logs are kept.
    notice : str
        A line on every page, as in ``test environment``; empty for none.
    holdout_keys : SecretStr
        Secrets of control groups by name, a JSON object: ``{"spring-2026": "..."}``. The same on every machine, and never changed under
        its name: the control group would be another.
    """

    model_config = SettingsConfigDict(
        env_prefix="PROPENSITY_", env_ignore_empty=True, frozen=True, hide_input_in_errors=True, extra="ignore"
    )

    home: Path = Path(".propensity")
    data_dir: Path | None = None
    source: str = "public"
    database_url: SecretStr = SecretStr("")
    owner_url: SecretStr | None = None
    store_url: str = ""
    s3_endpoint_url: str | None = None
    mlflow_url: SecretStr = SecretStr("")
    mlflow_artifacts: str = ""
    api_host: str = "127.0.0.1"
    api_port: int = 8700
    api_threads: int = 4
    api_rate_per_s: float = Field(default=1000.0, gt=0, le=1e6)
    reload_s: float = 1.0
    session_secret: SecretStr = SecretStr("")
    otlp_endpoint: str = ""
    alerts_topic_arn: str = ""
    alerts_webhook_url: SecretStr | None = None
    alerts_webhook_secret: SecretStr | None = None
    alerts_slack_url: SecretStr | None = None
    alerts_smtp_url: SecretStr | None = None
    alerts_mail_from: str = ""
    alerts_mail_to: str = ""
    alerts_repeat_h: float = Field(default=24.0, ge=0, le=10_000)
    alerts_base_url: str = ""
    alerts_runbook_url: str = "docs/runbook.md"
    checks_every_s: float = Field(default=60.0, gt=0, le=86_400)
    prefect_database_url: SecretStr | None = None
    prefect_database_password: SecretStr | None = None
    prefect_events_days: int = Field(default=7, ge=1, le=3_650)
    prefect_logs_days: int = Field(default=30, ge=1, le=3_650)
    notice: str = Field(default="", max_length=200)
    holdout_keys: SecretStr = SecretStr("")

    @property
    def holdout_secrets(self) -> dict[str, bytes]:
        """Secrets of control groups by name. Raises SettingsInvalid."""
        text = self.holdout_keys.get_secret_value()
        try:
            sent = json.loads(text) if text else {}
        except ValueError:
            sent = None
        if not isinstance(sent, dict) or not all(isinstance(secret, str) for secret in sent.values()):
            # Without the cause: it quotes the text.
            raise SettingsInvalid('PROPENSITY_HOLDOUT_KEYS must be a JSON object of names and secrets: {"spring-2026": "..."}') from None
        return {name: secret.encode() for name, secret in sent.items()}


def read_settings() -> Settings:
    """Read the environment. Raises SettingsInvalid, naming the variables and never their values."""
    try:
        return Settings()
    except ValidationError as exc:
        wrong = ", ".join("PROPENSITY_" + "_".join(str(p) for p in e["loc"]).upper() + f" ({e['msg']})" for e in exc.errors())
        raise SettingsInvalid(f"these settings cannot be used: {wrong}") from exc
