"""Every kind of alert has its page in the runbook, and the messages quote it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from propensity.alerts import ALARMING, RUNBOOK
from propensity.settings import Settings

DOCS = Path(__file__).parent.parent / "docs"


def test_every_kind_has_its_line_and_its_page() -> None:
    pages = dict(re.findall(r"^## ([a-z-]+)\n\n(.+)$", (DOCS / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert pages == dict(RUNBOOK)
    assert set(RUNBOOK) == set(ALARMING)


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name.startswith(("alerts_", "checks_", "prefect_"))])
def test_every_setting_is_told(name: str) -> None:
    assert re.search(rf"`(PROPENSITY_)?{name.upper()}`", (DOCS / "alerts.md").read_text(encoding="utf-8"))


def test_the_receivers_check_is_right() -> None:
    code = re.search(r"```python\n(.*?)```", (DOCS / "alerts.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    known: dict[str, object] = {}
    exec(code[1], known)
    headers: list[dict[str, str]] = []
    from propensity.adapters import alert_channels
    from tests.fakes_alerts import an_alert

    sent: list[bytes] = []

    def post(_url: str, body: bytes, told: dict[str, str], _what: str) -> str:
        sent.append(body)
        headers.append(told)
        return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alert_channels, "_post", post)
        alert_channels.Webhook("https://example.com", "s" * 16, clock=lambda: 1000.0).send(an_alert())
    genuine = known["genuine"]
    assert callable(genuine)
    assert genuine(headers[0], sent[0], "s" * 16, 1100.0)
    assert not genuine(headers[0], sent[0] + b" ", "s" * 16, 1100.0)
    assert not genuine(headers[0], sent[0], "t" * 16, 1100.0)
    assert not genuine(headers[0], sent[0], "s" * 16, 1400.0)
