"""The page /monitoring in a real browser, over a platform that was filled: for everybody's eyes and hands, and with the log's numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from api.pages.words import told
from propensity.panels import all_boards
from propensity.panels.definition import Kind, Unit
from tests.api.browser import chromium, violations
from tests.api.test_server import serving
from tests.panels.filled import DAYS, Filled, campaigns

pytestmark = pytest.mark.slow
BOARDS = all_boards(campaigns())
# Colours and widths do not meet: two looks show all four.
LOOKS = [("light", 390), ("dark", 1280)]
PICTURES = Path(__file__).resolve().parents[2] / "build" / "screenshots"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(platform: Filled) -> Iterator[str]:
    """Where the platform's pages are."""
    with serving(platform.app) as (server, _, _):
        yield server.address


@contextmanager
def opened(browser: Browser, address: str, scheme: str = "light", width: int = 1280, *, scripts: bool = True) -> Iterator[Page]:
    """A page on which anything that the browser complains of fails the test, as does a request to elsewhere."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=scripts,
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda sent: None if sent.url.startswith(address) else complaints.append(sent.url))
    yield page
    context.close()
    assert complaints == []


def sign_in(page: Page, address: str, key: str, wanted: str = "/monitoring") -> None:
    page.goto(address + wanted)
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{address}{wanted}")


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_everybody_can_use_every_section(browser: Browser, platform: Filled, address: str, scheme: str, width: int) -> None:
    with opened(browser, address, scheme, width) as page:
        page.goto(f"{address}/monitoring")
        assert violations(page) == []
        sign_in(page, address, platform.key)
        at = LOOKS.index((scheme, width))
        # Each section is looked at in one of the looks, the overview in all.
        for board in [BOARDS[0], *BOARDS[1 + at :: len(LOOKS)]]:
            page.goto(f"{address}/monitoring?section={board.key}")
            expect(page.get_by_role("heading", level=1)).to_have_text(board.title)
            for part in page.locator("details > summary").all()[:1]:
                part.click()
            assert violations(page) == [], board.key
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{board.key} scrolls sideways"
            PICTURES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=PICTURES / f"monitoring-{board.key}-{scheme}-{width}.png", full_page=True)


def test_the_page_says_what_the_log_says(platform: Filled) -> None:
    """Without a browser: numbers in the page's own tables, against what the service answered."""
    client = platform.client()
    for name in ("tiny", "second"):
        text = client.get(f"/monitoring?section=predictions&campaign={name}").text
        scored = sum(reply["counts"]["scored"] for reply in platform.replies[name])
        (figure,) = re.findall(rf'<dt>{name}</dt>\s*<dd class="figure">([^<]+)</dd>', panel(text, "predictions"))
        assert figure == told(scored, Unit.COUNT)
        over_time = panel(text, "over-time")
        cells = re.findall(r'<td class="right">([\d,]+)</td>', over_time)
        assert [int(cell.replace(",", "")) for cell in reversed(cells)] == [reply["counts"]["scored"] for reply in platform.replies[name]]
        assert over_time.count('class="fill s0"') == DAYS + 1  # and the legend's


def panel(text: str, key: str) -> str:
    found = re.search(rf'<section [^>]*aria-labelledby="p-{key}">.*?</section>', text, flags=re.DOTALL)
    assert found is not None, key
    return found[0]


def test_what_nobody_has_said_is_no_data(platform: Filled) -> None:
    client = platform.client()
    for board in BOARDS:
        text = client.get(f"/monitoring?section={board.key}&campaign=unused&span=7d").text
        for shown in board.panels:
            part = panel(text, shown.key)
            if "whatever the span" not in shown.says and "$campaign)" in shown.sql and board.key not in ("infrastructure", "traffic"):
                assert 'class="none">no data' in part or shown.key in ("verdicts", "finished"), (board.key, shown.key)
            assert shown.kind is not Kind.LINES or 'class="none"' in part or "<svg" in part


def test_a_person_chooses_with_the_keyboard_alone(browser: Browser, platform: Filled, address: str) -> None:
    with opened(browser, address, scripts=False) as page:
        page.goto(f"{address}/monitoring?section=value")
        expect(page.get_by_label("Key")).to_be_focused()
        page.keyboard.type(platform.key)
        page.keyboard.press("Enter")
        page.wait_for_url("**/monitoring?section=value")
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        while not page.get_by_label("Campaign").evaluate("node => node === document.activeElement"):
            page.keyboard.press("Tab")
        page.keyboard.press("T")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/monitoring?section=value&campaign=tiny&span=30d")
        expect(page.locator("#p-expected-profit")).to_be_visible()
        expect(page.locator("dt", has_text="second")).to_have_count(0)
        # The choice stays from one section to the next.
        page.get_by_role("link", name="Drift", exact=True).click()
        page.wait_for_url("**/monitoring?section=drift&campaign=tiny&span=30d")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        page.goto(f"{address}/monitoring")
        expect(page.get_by_label("Key")).to_be_visible()


def test_the_page_runs_and_fetches_nothing_from_elsewhere(platform: Filled) -> None:
    reply = platform.client().get("/monitoring")
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert "script-src" not in policy
    assert policy["form-action"] == "'self'"
    assert not re.search(r"<script|\son\w+=|\sstyle=", reply.text)
    assert not re.search(r'(src|href)="(https?:)?//', reply.text)
