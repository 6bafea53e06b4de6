"""The documents say what is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from local import docs
from local.docs import CONTRACT, DOCS, campaigns_page, contract_text, errors_page, undeclared_breaks
from local.environment import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
PAGES = [PROJECT / "README.md", *sorted(DOCS.glob("*.md"))]


def test_the_page_of_campaigns_is_the_declarations() -> None:
    assert (DOCS / "campaigns.md").read_text(encoding="utf-8") == campaigns_page(), "run `make docs`"


def test_the_page_of_errors_is_the_code() -> None:
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == errors_page(), "run `make docs`"


def test_the_contract_does_not_change_unannounced() -> None:
    assert CONTRACT.read_text(encoding="utf-8") == contract_text(), "run `make docs` and look at the change"


def test_a_breaking_contract_has_a_new_major_number() -> None:
    assert undeclared_breaks() == [], "raise the major number of CONTRACT_VERSION in api/openapi/document.py, or take the change back"


def test_a_breaking_contract_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(docs, "DOCS", tmp_path)
    monkeypatch.setattr(docs, "CONTRACT", tmp_path / "openapi.json")
    assert docs.main() == 0
    committed = json.loads((tmp_path / "openapi.json").read_text(encoding="utf-8"))
    committed["paths"]["/gone"] = committed["paths"]["/livez"]
    before = json.dumps(committed)
    (tmp_path / "openapi.json").write_text(before, encoding="utf-8")
    assert docs.main() == 2
    assert "/gone: the path was removed" in capsys.readouterr().err
    assert (tmp_path / "openapi.json").read_text(encoding="utf-8") == before


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)\b(?=[`\s]|$)", page.read_text(encoding="utf-8"))}
    assert {"demo", "test", "up", "down", "rollback"} <= named
    commands = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)}
    assert commands <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: object) -> None:
    path = PROJECT / str(page)
    links = re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_command_that_is_shown_is_one() -> None:
    from local.cli import _parser

    shown = set(re.findall(r"^propensity ([a-z-]+)|`propensity ([a-z-]+)", README, flags=re.MULTILINE))
    usage = _parser().format_help()
    assert {a or b for a, b in shown} <= set(re.findall(r"^\s{2,}([a-z-]+)\s", usage, flags=re.MULTILINE))
