"""Each way to tell people, against a real server of its kind on this machine."""

from __future__ import annotations

import email
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from pydantic import SecretStr

from propensity.adapters.alert_channels import Mail, Slack, Webhook, channels
from propensity.alerting import Alerting
from propensity.alerts import Impact, letter, subject
from propensity.errors import SettingsInvalid, StoreError
from propensity.settings import Settings
from tests.fakes_alerts import FakeAlertStore, FakeChannel, an_alert

SECRET = "canary-secret-of-the-webhook"
ALERT = an_alert(
    alert_id="a-0123456789ab",
    impact=Impact(-1234.4, "EUR"),
    links={
        "report": "https://lake/report?sig=x",
        "runbook": "docs/runbook.md#drift",
        "acknowledge": "propensity acknowledge a-0123456789ab",
    },
)


@dataclass
class Hook:
    """A server that takes POST and answers what it is told to."""

    status: int = 200
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/canary-token"


@pytest.fixture
def hook() -> Iterator[Hook]:
    known = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known.asked.append((dict(self.headers), body))
            self.send_response(known.status)
            if known.status == 302:
                self.send_header("Location", known.url)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield known
        server.shutdown()


@dataclass
class Letters:
    """What a mail server took. It refuses addresses that begin with ``nobody``."""

    taken: list[Envelope] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any) -> str:
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:
        self.taken.append(envelope)
        return "250 taken"

    def login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append((given.login.decode(), given.password.decode()))
        good = given.password == b"canary-password"
        return AuthResult(success=good, handled=good)

    @property
    def messages(self) -> list[EmailMessage]:
        policy = email.policy.default
        return [email.message_from_bytes(one.content or b"", policy=policy) for one in self.taken]  # type: ignore[arg-type]


@pytest.fixture
def letters() -> Iterator[tuple[Letters, int]]:
    kept = Letters()
    controller = Controller(kept, hostname="127.0.0.1", port=0, authenticator=kept.login, auth_require_tls=False)
    controller.port = _free_port()
    controller.start()
    yield kept, controller.port
    controller.stop()


def _free_port() -> int:
    from local.ports import any_free

    return any_free()


def mail(port: int, *to: str, password: str = "") -> Mail:
    return Mail("smtp", "127.0.0.1", port, "propensity@example.com", to or ("ada@example.com",), "robot" if password else "", password)


def test_a_letter_arrives_with_all_that_it_must_say(letters: tuple[Letters, int]) -> None:
    kept, port = letters
    assert mail(port, "ada@example.com", "bob@example.com", password="canary-password").send(ALERT) == ""
    (envelope,), (message,) = kept.taken, kept.messages
    assert envelope.rcpt_tos == ["ada@example.com", "bob@example.com"]
    assert kept.logins == [("robot", "canary-password")]
    assert (message["Subject"], message["From"]) == (subject(ALERT), "propensity@example.com")
    text = message.get_content()
    assert text.replace("\r\n", "\n").strip() == letter(ALERT)
    for said in (
        "term-deposit",
        "drift",
        "age, psi: 0.4",
        "-1,234 EUR",
        "https://lake/report?sig=x",
        "docs/runbook.md#drift",
        "What to do:",
    ):
        assert said in text
    assert "propensity acknowledge a-0123456789ab" in text


def test_every_try_is_the_same_letter_and_all_of_one_alert_belong_together(letters: tuple[Letters, int]) -> None:
    kept, port = letters
    for occasion in ("raised", "raised", "resolved"):
        mail(port).send(an_alert(alert_id="a-0123456789ab", occasion=occasion))
    ids = [message["Message-ID"] for message in kept.messages]
    assert ids[0] == ids[1] != ids[2]
    assert len({message["References"] for message in kept.messages}) == 1


def test_who_is_not_known_keeps_nobody_else_from_the_letter(letters: tuple[Letters, int]) -> None:
    kept, port = letters
    assert "1 of 2" in mail(port, "ada@example.com", "nobody@example.com").send(ALERT)
    with pytest.raises(StoreError, match="all 1 addresses"):
        mail(port, "nobody@example.com").send(ALERT)
    assert [one.rcpt_tos for one in kept.taken] == [["ada@example.com"]]


def test_a_mail_server_that_refuses_is_named_without_its_password(letters: tuple[Letters, int]) -> None:
    with pytest.raises(StoreError, match="login") as caught:
        mail(letters[1], password="canary-wrong").send(ALERT)
    assert "canary" not in str(caught.value)
    with pytest.raises(StoreError, match="did not take"):
        mail(_free_port()).send(ALERT)
    tls = Mail("smtp+starttls", "127.0.0.1", letters[1], "a@example.com", ("b@example.com",))
    with pytest.raises(StoreError, match="SMTPNotSupportedError"):
        tls.send(ALERT)
    assert letters[0].taken == []


def test_a_webhook_can_tell_who_sent_it(hook: Hook) -> None:
    Webhook(hook.url, SECRET, clock=lambda: 1_700_000_000.9).send(ALERT)
    ((headers, body),) = hook.asked
    stamp = headers["X-Propensity-Timestamp"]
    signed = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert (stamp, headers["X-Propensity-Signature"]) == ("1700000000", f"v1={signed}")
    assert headers["X-Propensity-Delivery"] == "a-0123456789ab/raised"
    told = json.loads(body)
    assert {name: told[name] for name in ("schema", "campaign", "kind", "occasion", "alert_id")} == {
        "schema": "propensity-alert-1", "campaign": "term-deposit", "kind": "drift", "occasion": "raised", "alert_id": "a-0123456789ab",
    }  # fmt: skip
    assert told["impact"] == {"amount": -1234.4, "currency": "EUR"}
    assert told["links"]["report"].startswith("https://")
    assert told["text"] == letter(ALERT)


def test_slack_gets_what_slack_takes(hook: Hook) -> None:
    Slack(hook.url).send(an_alert(detail="a < b & c > d"))
    told = json.loads(hook.asked[0][1])
    assert set(told) == {"text", "blocks"}
    assert all(block["type"] == "section" and len(block["text"]["text"]) <= 3_000 for block in told["blocks"])
    assert "a &lt; b &amp; c &gt; d" in told["blocks"][1]["text"]["text"]


@pytest.mark.parametrize("status", [302, 400, 404, 410, 500])
def test_an_answer_that_is_no_success_is_a_failure_without_the_address(hook: Hook, status: int) -> None:
    hook.status = status
    for channel in (Webhook(hook.url, SECRET), Slack(hook.url)):
        with pytest.raises(StoreError, match=str(status)) as caught:
            channel.send(ALERT)
        assert "canary" not in str(caught.value)
    assert len(hook.asked) == 2


def test_nobody_answers() -> None:
    with pytest.raises(StoreError, match="did not answer") as caught:
        Webhook(f"http://127.0.0.1:{_free_port()}/canary-token", SECRET).send(ALERT)
    assert "canary" not in str(caught.value)


def test_a_dead_mail_server_does_not_keep_the_webhook_from_telling(hook: Hook) -> None:
    store = FakeAlertStore()
    alerting = Alerting(store, (mail(_free_port()), Webhook(hook.url, SECRET), FakeChannel()), sleep=lambda _: None)
    stored = alerting.raise_alert(an_alert())
    results = {(e.channel, e.event) for e in store.find(stored.alert_id).events if e.channel and e.event != "claimed"}
    assert results == {("mail", "failed"), ("webhook", "sent"), ("fake", "sent")}


def settings(**given: Any) -> Settings:
    typed: dict[str, Any] = {name: SecretStr(value) if name.endswith(("_url", "_secret")) else value for name, value in given.items()}
    return Settings(**typed)


ALL = {
    "alerts_webhook_url": "https://example.com/hook",
    "alerts_webhook_secret": SECRET,
    "alerts_slack_url": "https://hooks.example.com/services/T/B/canary",
    "alerts_smtp_url": "smtps://robot:canary%40word@mail.example.com",
    "alerts_mail_from": "propensity@example.com",
    "alerts_mail_to": "ada@example.com, bob@example.com",
}


def test_the_settings_say_which_channels_there_are() -> None:
    assert channels(settings()) == []
    named = channels(settings(**ALL))
    assert [channel.name for channel in named] == ["webhook", "slack", "mail"]
    assert [channel.name for channel in channels(settings(alerts_topic_arn="arn:aws:sns:eu-central-1:123456789012:alerts"))] == ["sns"]
    (sender,) = (channel for channel in named if isinstance(channel, Mail))
    assert (sender.port, sender.user, sender.password, sender.to) == (465, "robot", "canary@word", ["ada@example.com", "bob@example.com"])
    assert "canary" not in repr(named)
    assert "canary" not in repr(settings(**ALL))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"alerts_webhook_secret": "canary"}, "ALERTS_WEBHOOK_SECRET"),
        ({"alerts_webhook_url": "http://canary.example.com"}, "ALERTS_WEBHOOK_URL"),
        ({"alerts_webhook_url": "https://[canary"}, "ALERTS_WEBHOOK_URL"),
        ({"alerts_slack_url": "canary"}, "ALERTS_SLACK_URL"),
        ({"alerts_smtp_url": "mail.canary.com"}, "ALERTS_SMTP_URL"),
        ({"alerts_smtp_url": "smtp://robot:canary@mail.example.com"}, "ALERTS_SMTP_URL"),
        ({"alerts_smtp_url": "smtps://mail.example.com:canary"}, "ALERTS_SMTP_URL"),
        ({"alerts_mail_to": "canary"}, "ALERTS_MAIL_TO"),
        ({"alerts_mail_to": ""}, "ALERTS_MAIL_TO"),
        ({"alerts_mail_from": "canary\nBcc: x@example.com"}, "ALERTS_MAIL_FROM"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_not_quoted(changed: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"PROPENSITY_{named}") as caught:
        channels(settings(**{**ALL, **changed}))
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
