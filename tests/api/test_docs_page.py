"""The page at /docs: all of the contract, requests that can be tried, for everybody's eyes and hands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from propensity.model import Model
from tests.api.browser import chromium, violations
from tests.api.conftest import World
from tests.api.models import make_campaign
from tests.api.test_server import serving

LIST = "#predict-term-deposit"
SIZES = ((390, 844), (1280, 900))


def test_every_operation_stands_on_the_page_with_all_its_statuses(world: World) -> None:
    page = world.client.get("/docs").text
    document = world.client.get("/openapi.json").json
    for path, item in document["paths"].items():
        for method, said in item.items():
            (part,) = re.findall(rf'<article aria-labelledby="{said["operationId"]}">.*?</article>', page, flags=re.DOTALL)
            assert f'data-method="{method.upper()}" data-path="{path}"' in part
            assert set(re.findall(r'<span class="status">(\d+)</span>', part)) == set(said["responses"])


def test_the_page_runs_nothing_but_its_own_script(world: World) -> None:
    reply = world.client.get("/docs")
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
    assert re.findall(r"<script[^>]*>", reply.text) == ['<script src="/static/docs.js" defer>']
    assert not re.search(r'\s(on\w+|style)="', reply.text)
    assert not re.search(r'(src|href)="(https?:)?//', reply.text)


def test_what_is_declared_cannot_break_out_of_the_page(make_world: Callable[..., World]) -> None:
    mark = '"><script>alert(1)</script>'
    page = make_world(make_campaign(name="hostile", title=mark, question=mark)).client.get("/docs").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def served(make_world: Callable[..., World], deposit: Model) -> Iterator[tuple[World, str]]:
    """A service with a live model, and its address."""
    world = make_world()
    world.promote(deposit)
    with serving(world.app) as (server, _, _):
        yield world, server.address


@contextmanager
def opened(
    browser: Browser, address: str, *, scheme: str = "light", size: tuple[int, int] = SIZES[1], scripts: bool = True
) -> Iterator[Page]:
    """The page. What it complains about, and any request to elsewhere, fails the test."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        java_script_enabled=scripts,
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if "Security Policy" in message.text else None)
    origin = "/".join(address.split("/")[:3])
    page.on("request", lambda sent: complaints.append(sent.url) if not sent.url.startswith((origin, "blob:" + origin)) else None)
    page.goto(address)
    yield page
    context.close()
    assert complaints == []


def open_everything(page: Page) -> None:
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]} px")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_everybody_can_use_the_page(browser: Browser, served: tuple[World, str], path: str, scheme: str, size: tuple[int, int]) -> None:
    with opened(browser, served[1] + path, scheme=scheme, size=size) as page:
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"
        if path == "/docs":
            open_everything(page)
            page.get_by_label("Sent with each request").fill(served[0].key("operator", "operator"))
            send(page, LIST)
            expect(form(page, LIST).locator("output")).to_contain_text("200")
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"


def form(page: Page, heading: str) -> Locator:
    return page.locator(f"article:has({heading}) form")


def send(page: Page, heading: str) -> None:
    form(page, heading).locator("button[type=submit]").click()


@pytest.mark.slow
def test_a_request_is_tried_with_a_key(browser: Browser, served: tuple[World, str]) -> None:
    world, address = served
    with opened(browser, f"{address}/docs{LIST}") as page:
        asked = form(page, LIST)
        sent: list[dict[str, str]] = []
        page.on("request", lambda request: sent.append(request.headers))
        page.get_by_label("Sent with each request").fill(world.key("operator", "operator"))
        asked.get_by_label("Idempotency-Key").fill("from the page")
        asked.get_by_label("reasons").fill("0")
        send(page, LIST)
        expect(asked.locator("output")).to_contain_text("200")
        expect(asked.locator("pre")).to_contain_text('"scored": 2')
        assert sent[-1]["authorization"] == f"Bearer {world.key('operator', 'operator')}"
        assert sent[-1]["idempotency-key"] == "from the page"
        assert world.log.entries[-1].customer_ids == ("customer-1", "customer-2")
        asked.locator("select[data-place=example]").select_option(label="text/csv: Two rows")
        asked.get_by_label("Idempotency-Key").fill("")
        send(page, LIST)
        expect(asked.locator("pre")).to_contain_text('"scored": 2')
        asked.get_by_label("Text of the body").fill("id,age\nx,1\n")
        send(page, LIST)
        expect(asked.locator("output")).to_contain_text("422")
        expect(asked.locator("pre")).to_contain_text('"code": "rows_invalid"')
        with page.expect_download() as saved:
            asked.get_by_text("Save the reply").click()
        assert '"rows_invalid"' in saved.value.path().read_text()
        assert page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length") == 0
        assert world.key("operator", "operator") not in page.content()


@pytest.mark.slow
def test_other_operations_are_tried(browser: Browser, served: tuple[World, str]) -> None:
    world, address = served
    wanted = world.predict({"id": "c", **world.client.get("/v1/campaigns/term-deposit/schema").json["examples"][0]}).json
    with opened(browser, f"{address}/docs#getPrediction") as page:
        page.get_by_label("Sent with each request").fill(world.key("operator", "operator"))
        asked = form(page, "#getPrediction")
        asked.get_by_label("id").fill(wanted["predictions"][0]["prediction_id"])
        send(page, "#getPrediction")
        expect(asked.locator("pre")).to_contain_text('"reproduced": true')
        page.goto(f"{address}/docs#getRowSchema")
        asked = form(page, "#getRowSchema")
        asked.get_by_label("campaign").select_option("small")
        send(page, "#getRowSchema")
        expect(asked.locator("pre")).to_contain_text("customer_no")


@pytest.mark.slow
def test_a_request_is_tried_with_the_keyboard_alone(browser: Browser, served: tuple[World, str]) -> None:
    with opened(browser, f"{served[1]}/docs") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "key"
        page.keyboard.type(served[0].key("operator", "operator"))
        reached = walk(page, 'document.activeElement.matches("#listCampaigns ~ details.try summary")')
        assert reached, "no way to the operation"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.type") == "submit"
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        expect(form(page, "#listCampaigns").locator("output")).to_contain_text("200")
        assert page.evaluate("document.activeElement.type") == "submit", "the focus was lost"


def walk(page: Page, until: str) -> bool:
    """Press Tab until the expression holds; False where it never does."""
    for _ in range(200):
        if page.evaluate(until):
            return True
        page.keyboard.press("Tab")
    return False


@pytest.mark.slow
def test_the_page_can_be_read_without_scripts(browser: Browser, served: tuple[World, str]) -> None:
    with opened(browser, f"{served[1]}/docs", scripts=False) as page:
        expect(page.get_by_text("Without JavaScript")).to_be_visible()
        expect(page.locator("form").first).to_be_hidden()
        page.locator(f"article:has({LIST}) summary").get_by_text("curl").click()
        expect(page.get_by_label("curl command: Score customers: Term deposit")).to_contain_text("--data-binary")
