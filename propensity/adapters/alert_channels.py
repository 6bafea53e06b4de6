"""Ways to tell people of an alert: SNS, a signed webhook, mail, and a webhook as Slack takes it.

Each is there where its setting is. No error of theirs holds an address, a token or a password: those are secrets themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from propensity.alerting import Channel
from propensity.alerts import RESOLVED, Alert, letter, subject, to_message
from propensity.errors import SettingsInvalid, StoreError
from propensity.settings import Settings

TIMEOUT_S = 10.0
SIGNATURE, TIMESTAMP, DELIVERY = "X-Propensity-Signature", "X-Propensity-Timestamp", "X-Propensity-Delivery"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# Slack cuts a block of text at 3,000 characters.
_SLACK_TEXT = 2_900
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class _NoRedirect(HTTPRedirectHandler):
    """A webhook that answers elsewhere was set wrongly: what is signed for one address is not sent to another."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True)
class Sns:
    """A topic: it gets the alert whole, as the function ``alert`` reads it, which writes to people and starts retraining."""

    topic_arn: str
    client: Any = field(default=None, repr=False)
    name: str = "sns"

    def send(self, alert: Alert) -> str:
        """Publish it. Raises StoreError."""
        from propensity.adapters.alert_topics import publish

        publish(self.topic_arn, to_message(alert), client=self.client)
        return ""


@dataclass(frozen=True)
class Webhook:
    """Any address that takes JSON. The body is signed: ``v1=`` and HMAC-SHA256 over the time stamp, a dot, and the body."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    clock: Callable[[], float] = time.time
    name: str = "webhook"

    def send(self, alert: Alert) -> str:
        """Post it. Raises StoreError."""
        body = webhook_body(alert)
        stamp = str(int(self.clock()))
        headers = {
            TIMESTAMP: stamp,
            SIGNATURE: "v1=" + hmac.new(self.secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest(),
            # The same for every try, so that a receiver who heard it already knows.
            DELIVERY: f"{alert.alert_id}/{alert.occasion}",
        }
        return _post(self.url, body, headers, "the webhook")


@dataclass(frozen=True)
class Slack:
    """An incoming webhook of Slack, Mattermost or what else takes ``{"text", "blocks"}``."""

    url: str = field(repr=False)
    name: str = "slack"

    def send(self, alert: Alert) -> str:
        """Post it. Raises StoreError."""
        head = f":{'white_check_mark' if alert.occasion == RESOLVED else 'rotating_light'}: *{_escaped(subject(alert))}*"
        text = _escaped(letter(alert))[:_SLACK_TEXT]
        blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": part}} for part in (head, text)]
        return _post(self.url, json.dumps({"text": _escaped(subject(alert)), "blocks": blocks}).encode(), {}, "the Slack webhook")


@dataclass(frozen=True)
class Mail:
    """Letters by SMTP. ``mode`` is ``smtps`` (TLS from the start), ``smtp+starttls`` (refused where there is none) or ``smtp``."""

    mode: str
    host: str
    port: int
    sender: str
    to: Sequence[str]
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    context: ssl.SSLContext | None = field(default=None, repr=False)
    name: str = "mail"

    def send(self, alert: Alert) -> str:
        """Send it to everybody. Raises StoreError where nobody gets it."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, ", ".join(self.to), subject(alert)
        # Equal for every try: mail programs show the same letter once. Reminders and the end belong to the same conversation.
        domain = self.sender.rpartition("@")[2]
        message["Message-ID"] = f"<{alert.alert_id}.{alert.occasion}@{domain}>"
        message["References"] = f"<{alert.alert_id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter(alert))
        try:
            with self._connected() as server:
                refused = server.send_message(message, self.sender, list(self.to))
        except smtplib.SMTPAuthenticationError as exc:
            raise StoreError(f"the mail server refused the login ({exc.smtp_code})") from None
        except smtplib.SMTPResponseException as exc:
            raise StoreError(f"the mail server refused the letter ({exc.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused as exc:
            raise StoreError(f"the mail server refused all {len(exc.recipients)} addresses") from None
        except (smtplib.SMTPException, OSError) as exc:
            raise StoreError(f"the mail server did not take the letter: {type(exc).__name__}") from None
        # Not a failure: trying again would send the letter again to all who have it.
        return f"the mail server refused {len(refused)} of {len(self.to)} addresses" if refused else ""

    def _connected(self) -> smtplib.SMTP:
        context = self.context or ssl.create_default_context()
        if self.mode == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        try:
            if self.mode == "smtp+starttls":
                server.starttls(context=context)
            if self.user:
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return server


def channels(settings: Settings) -> list[Channel]:
    """The channels that the settings name. Raises SettingsInvalid, naming the variable that is missing or wrong and no value."""
    found: list[Channel] = []
    if settings.alerts_topic_arn:
        found.append(Sns(settings.alerts_topic_arn))
    if settings.alerts_webhook_url:
        secret = settings.alerts_webhook_secret
        if secret is None or len(secret.get_secret_value()) < 16:
            _wrong("ALERTS_WEBHOOK_SECRET", "must be set, with 16 characters at least, where ALERTS_WEBHOOK_URL is: it signs what is sent")
        found.append(Webhook(_address(settings.alerts_webhook_url.get_secret_value(), "ALERTS_WEBHOOK_URL"), secret.get_secret_value()))
    if settings.alerts_slack_url:
        found.append(Slack(_address(settings.alerts_slack_url.get_secret_value(), "ALERTS_SLACK_URL")))
    if settings.alerts_smtp_url:
        found.append(_mail(settings.alerts_smtp_url.get_secret_value(), settings.alerts_mail_from, settings.alerts_mail_to))
    return found


def webhook_body(alert: Alert) -> bytes:
    """What a webhook gets: the alert as data, and as the text that people read."""
    told: Mapping[str, Any] = json.loads(to_message(alert))
    said = {"schema": "propensity-alert-1", "subject": subject(alert), "text": letter(alert)}
    return json.dumps({**said, **{name: value for name, value in told.items() if name != "event"}}).encode()


def _mail(url: str, sender: str, to: str) -> Mail:
    name = "ALERTS_SMTP_URL"
    parts, port = _split(url, name)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query:
        _wrong(name, "looks like smtps://user:password@mail.example.com, smtp+starttls://... or smtp://...")
    addresses = [address.strip() for address in to.split(",") if address.strip()]
    for variable, given in (("ALERTS_MAIL_FROM", [sender]), ("ALERTS_MAIL_TO", addresses)):
        if not given or not all(_is_address(one) for one in given):
            _wrong(variable, "must hold mail addresses, separated by commas where there are several")
    if parts.scheme == "smtp" and parts.username and parts.hostname not in _LOOPBACK:
        _wrong(name, "would send the password in the open: use smtps:// or smtp+starttls://")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Mail(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], sender, addresses, user, password)


def _is_address(text: str) -> bool:
    try:
        return "@" in Address(addr_spec=text).addr_spec and text.isascii() and text.isprintable()
    except Exception:  # noqa: BLE001 - email.errors has no common root; whatever it says, this is no address
        return False


def _address(url: str, name: str) -> str:
    parts, _ = _split(url, name)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        _wrong(name, "must be an address, as in https://alerts.example.com/hook")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        _wrong(name, "must begin with https:// where it is not this machine")
    return url


def _split(url: str, name: str) -> tuple[Any, int | None]:
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:
        _wrong(name, "is not an address")


def _wrong(name: str, what: str) -> NoReturn:
    # Without a cause: it would quote the value.
    raise SettingsInvalid(f"PROPENSITY_{name} {what}") from None


def _post(url: str, body: bytes, headers: Mapping[str, str], what: str) -> str:
    told = {"Content-Type": "application/json", "User-Agent": "propensity", **headers}
    request = Request(url, data=body, headers=told, method="POST")  # noqa: S310 - the scheme was checked
    try:
        with build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as reply:
            reply.read(1_000)
            return ""
    except HTTPError as exc:
        exc.close()
        raise StoreError(f"{what} answered {exc.code}") from None
    except (URLError, OSError, ValueError) as exc:
        cause = exc.reason if isinstance(exc, URLError) and isinstance(exc.reason, Exception) else exc
        raise StoreError(f"{what} did not answer: {type(cause).__name__}") from None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
