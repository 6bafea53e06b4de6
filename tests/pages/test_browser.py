"""Each way through the pages in a real browser, for everybody's eyes and hands. Pictures of all of them land in build/screenshots."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Download, FilePayload, Page, expect

from flows.report import make
from propensity.campaigns import campaign
from propensity.report.kept import keep
from propensity.synthetic import generate
from tests.api.browser import violations
from tests.pages.stand import NAME, Stand

pytestmark = pytest.mark.slow
PICTURES = Path(__file__).resolve().parents[2] / "build" / "screenshots"
# Colours and widths do not meet: two looks show all four.
LOOKS = [("light", 1280), ("dark", 390)]
WAIT_MS = 30_000


@contextmanager
def opened(browser: Browser, address: str, scheme: str = "light", width: int = 1280, *, scripts: bool = True) -> Iterator[Page]:
    """A page on which anything that the browser complains of fails the test, as does a request to elsewhere."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=scripts,
        accept_downloads=True,
    )
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    # A form that comes back with what is wrong in it is told as an error, by Chromium's own words.
    page.on("console", lambda message: complaints.append(message.text) if "422" not in message.text else None)
    page.on("request", lambda sent: None if sent.url.startswith(address) else complaints.append(sent.url))
    yield page
    context.close()
    assert complaints == []


def sign_in(page: Page, address: str, key: str, wanted: str = "/lists") -> None:
    page.goto(address + wanted)
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{address}{wanted}")


def looked_at(page: Page, name: str) -> None:
    """The page as it stands is for everybody, and is kept as a picture."""
    assert violations(page) == [], name
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} scrolls sideways"
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def people(n: int, seed: int) -> list[dict[str, object]]:
    """Customers ``K-1`` onwards."""
    declared = campaign(NAME)
    raw = generate(declared, n, seed)
    return [{"id": f"K-{at + 1}", **{name: raw.columns[name][at] for name in declared.feature_names}} for at in range(n)]


def as_file(rows: list[dict[str, object]], names: dict[str, str], delimiter: str = ";", decimal: str = ",", mark: str = "\ufeff") -> bytes:
    """A file as a spreadsheet of half of Europe writes it."""
    text = io.StringIO()
    lines = csv.writer(text, delimiter=delimiter)
    lines.writerow([names.get(name, name) for name in rows[0]])
    for row in rows:
        lines.writerow([str(cell).replace(".", decimal) if isinstance(cell, float) else cell for cell in row.values()])
    return (mark + text.getvalue()).encode()


def payload(data: bytes) -> FilePayload:
    return {"name": "october.csv", "mimeType": "text/csv", "buffer": data}


def drop(page: Page, address: str, data: bytes) -> None:
    page.goto(f"{address}/lists/new")
    page.get_by_label("The list").set_input_files(payload(data))
    page.get_by_role("button", name="Look at the file").click()


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_a_list_from_a_spreadsheet_becomes_the_right_call_sheet(
    browser: Browser, platform: Stand, address: str, scheme: str, width: int
) -> None:
    """The whole journey: semicolons, a byte order mark, decimal commas, other names, two bad rows, and one whom nobody may contact."""
    rows = people(60, seed=21 + width)
    rows[4]["age"] = 7
    rows[9]["job"] = "astronaut"
    for at, row in enumerate(rows, start=1):
        row["id"] = f"{scheme}-{at}"
    look = f"{scheme}-{width}"
    with opened(browser, address, scheme, width) as page:
        sign_in(page, address, platform.keys["marketing"], "/suppressions")
        leave_alone(page, f"  {scheme.upper()}-20 ")
        looked_at(page, f"suppressions-{look}")
        page.goto(f"{address}/lists/new")
        looked_at(page, f"list-new-{look}")
        drop(page, address, as_file(rows, {"job": "Job title", "id": "Customer ID"}))
        expect(page.get_by_role("heading", name="What was understood")).to_be_visible()
        for told in ("a semicolon", "UTF-8, with a byte order mark", "with a comma (1,5)"):
            expect(page.get_by_text(told, exact=True)).to_be_visible()
        expect(page.get_by_label("Taken for: Job title")).to_have_value("job")
        expect(page.get_by_label("Taken for: Customer ID")).to_have_value("id")
        looked_at(page, f"list-check-{look}")
        page.get_by_role("button", name="Score 60 customers").click()
        expect(page.get_by_role("heading", name="Whom to contact, best first")).to_be_visible(timeout=WAIT_MS)
        looked_at(page, f"list-result-{look}")
        refusals = page.locator("section", has=page.get_by_role("heading", name="Rows that were refused")).locator("tbody tr")
        assert [row.locator("td").all_inner_texts()[:2] for row in refusals.all()] == [["5", "age"], ["10", "job"]]
        page.get_by_label("Customers", exact=True).select_option("all")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download").click()
        sheet = read(saved.value)
        assert {row["customer_id"] for row in sheet} == {f"{scheme}-{at}" for at in range(1, 61) if at not in (5, 10, 20)}
        by_interface = scored(platform, [row for at, row in enumerate(rows) if at not in (4, 9, 19)])
        left = page.locator("section", has=page.get_by_role("heading", name="Who may not be contacted")).locator("tbody tr")
        assert [row.locator("td").all_inner_texts() for row in left.all()] == [["20", f"{scheme}-20", "objection"]]
        assert {row["customer_id"]: (float(row["score"]), row["decision"]) for row in sheet} == by_interface
        assert [float(row["score"]) for row in sheet] == sorted((score for score, _ in by_interface.values()), reverse=True)
        result, best = page.url, sheet[0]["customer_id"]
        page.locator("tbody a").first.click()
        expect(page.get_by_role("heading", name="Why this score")).to_be_visible()
        expect(page.get_by_text("Scored again from the log just now: the same bits.")).to_be_visible()
        looked_at(page, f"why-{look}")
        page.goto(f"{address}/lists")
        expect(page.locator("tbody tr").first).to_contain_text("done")
        looked_at(page, f"lists-{look}")
        # Who objects after the list was done is in no file of it from then on.
        page.goto(f"{address}/suppressions")
        leave_alone(page, best)
        page.goto(result)
        expect(page.get_by_role("heading", name="Whom to contact, best first")).to_be_visible()
        assert page.locator("td.id", has_text=re.compile(f"^{best}$")).count() == 0
        page.get_by_label("Customers", exact=True).select_option("all")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download").click()
        assert [row["customer_id"] for row in read(saved.value)] == [row["customer_id"] for row in sheet[1:]]


def leave_alone(page: Page, customer: str) -> None:
    form = page.locator("section", has=page.get_by_role("heading", name="Record an objection"))
    form.get_by_label("Customers").fill(customer)
    form.get_by_label("Reason").select_option("objection")
    form.get_by_role("button", name="Leave them alone").click()
    expect(page.get_by_role("status")).to_have_text("Recorded. Customers: 1.")


def read(saved: Download) -> list[dict[str, str]]:
    """The rows of a call sheet that a browser saved."""
    return list(csv.DictReader(io.StringIO(saved.path().read_text(encoding="utf-8"))))


def scored(platform: Stand, rows: list[dict[str, object]]) -> dict[str, tuple[float, str]]:
    """What the interface answers to the same customers."""
    sent = [{name: cell.item() if hasattr(cell, "item") else cell for name, cell in row.items()} for row in rows]
    client = platform.app.test_client()
    key = {"Authorization": f"Bearer {platform.keys['operator']}"}
    reply = client.post(f"/v1/campaigns/{NAME}/predictions", json={"customers": sent, "reasons": 0}, headers=key)
    assert reply.status_code == 200, reply.text
    return {one["customer_id"]: (one["score"], one["decision"]) for one in reply.json["predictions"]}


def test_the_budget_moves_the_profit_live(browser: Browser, platform: Stand, address: str) -> None:
    rows = people(120, seed=33)
    known = sorted(scored(platform, rows).values(), reverse=True)
    with opened(browser, address) as page:
        sign_in(page, address, platform.keys["marketing"])
        drop(page, address, as_file(rows, {}, delimiter=",", decimal=".", mark=""))
        page.get_by_role("button", name="Score 120 customers").click()
        slider, contacts = page.get_by_label("Contacts, best first"), page.get_by_label("Contacts", exact=True)
        expect(slider).to_be_enabled(timeout=WAIT_MS)
        slider.focus()
        page.keyboard.press("Home")
        expect(contacts).to_have_value("0")
        for _ in range(15):
            page.keyboard.press("ArrowRight")
        expect(contacts).to_have_value("15")
        assert amount(page) == pytest.approx(sum(round(200 * score - 40, 2) for score, _ in known[:15]), abs=0.51)
        page.get_by_role("button", name="Everyone").click()
        expect(contacts).to_have_value("120")
        assert amount(page) == pytest.approx(sum(200 * score - 40 for score, _ in known), abs=1.5)
        contacts.fill("7")
        assert amount(page) == pytest.approx(sum(200 * score - 40 for score, _ in known[:7]), abs=0.51)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download").click()
        sheet = read(saved.value)
        assert [float(row["score"]) for row in sheet] == [score for score, _ in known[:7]]
        page.get_by_label("Format").select_option("xlsx")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download").click()
        assert saved.value.suggested_filename == "call-sheet.xlsx"
        assert saved.value.path().read_bytes().startswith(b"PK")


def amount(page: Page) -> float:
    text = page.locator("[data-profit]").inner_text()
    return float(re.sub(r"[^0-9.−]", "", text).replace("−", "-"))


def test_what_cannot_be_read_is_told_above_the_form(browser: Browser, platform: Stand, address: str) -> None:
    with opened(browser, address) as page:
        sign_in(page, address, platform.keys["marketing"])
        drop(page, address, b"a;b\r\n1;2\r\n")
        expect(page.get_by_role("alert")).to_contain_text("first line must name the columns")
        looked_at(page, "list-new-problem")
        # Half of the columns: a person may say which is which, or is told what is missing.
        rows = [{name: cell for name, cell in row.items() if name != "poutcome"} for row in people(3, seed=4)]
        drop(page, address, as_file(rows, {}))
        expect(page.get_by_text("Nothing in the file looks like: poutcome")).to_be_visible()
        page.get_by_role("button", name="Score 3 customers").click()
        expect(page.get_by_role("alert")).to_contain_text("no column of the file is taken for 'poutcome'")
        looked_at(page, "list-check-problem")


def test_without_scripts_and_by_keyboard_alone(browser: Browser, platform: Stand, address: str) -> None:
    rows = people(12, seed=44)
    with opened(browser, address, scripts=False) as page:
        page.goto(f"{address}/lists/new")
        expect(page.get_by_label("Key")).to_be_focused()
        page.keyboard.type(platform.keys["marketing"])
        page.keyboard.press("Enter")
        page.wait_for_url("**/lists/new")
        page.get_by_label("The list").set_input_files(payload(as_file(rows, {})))
        page.get_by_label("The list").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/lists/term-deposit\."))
        page.get_by_role("button", name="Score 12 customers").press("Enter")
        page.wait_for_timeout(700)
        page.reload()
        expect(page.get_by_role("heading", name="Whom to contact, best first")).to_be_visible()
        page.get_by_label("Contacts", exact=True).fill("5")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download").press("Enter")
        assert len(saved.value.path().read_text().splitlines()) == 6


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_one_customer_by_form(browser: Browser, platform: Stand, address: str, scheme: str, width: int) -> None:
    (row,) = people(1, seed=55)
    with opened(browser, address, scheme, width) as page:
        sign_in(page, address, platform.keys["marketing"], "/customer")
        looked_at(page, f"customer-{scheme}-{width}")
        for name, cell in row.items():
            if name == "id":
                page.get_by_label("Customer id").fill(f"K {width}")
                continue
            field = page.get_by_label(name, exact=True)
            if isinstance(cell, str):
                field.select_option(cell)
            else:
                field.fill("7" if name == "age" else str(cell).replace(".", ","))
        page.get_by_role("button", name="Score this customer").click()
        expect(page.get_by_role("alert")).to_contain_text("age")
        looked_at(page, f"customer-problem-{scheme}-{width}")
        page.get_by_label("age", exact=True).fill(str(row["age"]))
        page.get_by_role("button", name="Score this customer").click()
        expect(page.get_by_role("heading", name="Why this score")).to_be_visible()
        ((score, decision),) = scored(platform, [{**row, "id": "again"}]).values()
        expect(page.locator(".figure").first).to_have_text(f"{100 * score:.3g} %")
        expect(page.locator(".decision").first).to_have_text(decision)
        steps = page.locator(".falls tbody tr")
        assert steps.first.locator("th").inner_text() == "the average customer"
        assert steps.last.locator("td").last.inner_text() == f"{100 * score:.3g} %"


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_campaigns_and_their_reliability(browser: Browser, platform: Stand, address: str, scheme: str, width: int) -> None:
    rows = [{**row, "id": f"{scheme}{at}"} for at, row in enumerate(people(200, seed=66))]
    with opened(browser, address, scheme, width) as page:
        sign_in(page, address, platform.keys["auditor"], "/campaigns")
        looked_at(page, f"campaigns-{scheme}-{width}")
        scores = scored(platform, rows)
        sent = [{"customer_id": name, "label": at % 3 == 0} for at, name in enumerate(scores)]
        key = {"Authorization": f"Bearer {platform.keys['operator']}"}
        assert platform.app.test_client().post(f"/v1/campaigns/{NAME}/outcomes", json=sent, headers=key).status_code == 200
        page.get_by_role("link", name=campaign(NAME).title).click()
        page.get_by_text("Numbers of the curve").click()
        counted = page.locator("details tbody tr td:last-child").all_inner_texts()
        assert sum(int(text.replace(",", "")) for text in counted) % 200 == 0
        expect(page.get_by_role("link", name="Score a list")).to_have_count(0)
        looked_at(page, f"campaign-{scheme}-{width}")
        keep(platform.platform.store, make(platform.platform, NAME, until=datetime.now(UTC) + timedelta(seconds=5)))
        page.get_by_role("link", name="Campaign report").click()
        expect(page.get_by_role("article")).to_contain_text("Does the ranking find")
        looked_at(page, f"report-{scheme}-{width}")


def test_an_operator_approves_and_goes_back(browser: Browser, platform: Stand, address: str) -> None:
    with opened(browser, address) as page:
        sign_in(page, address, platform.keys["auditor"], "/models")
        expect(page.get_by_role("heading", name="Side by side")).to_be_visible()
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    with opened(browser, address, "dark", 390) as page:
        sign_in(page, address, platform.keys["operator"], "/models")
        looked_at(page, "models-dark-390")
    with opened(browser, address) as page:
        sign_in(page, address, platform.keys["operator"], "/models")
        first = page.locator(".figure").inner_text()
        looked_at(page, "models-light-1280")
        waiting = page.locator("section", has=page.get_by_role("heading", name="Waits for your approval"))
        waiting.get_by_label("Reason").fill("agreed with risk")
        waiting.get_by_role("button", name="Approve").click()
        expect(page.locator(".figure")).not_to_have_text(first)
        expect(page.locator("tbody tr", has_text="agreed with risk")).to_contain_text("approved")
        expect(page.get_by_role("heading", name="Waits for your approval")).to_have_count(0)
        back = page.locator("section", has=page.get_by_role("heading", name="Go back to the model before"))
        back.get_by_label("Reason").fill("calls fail")
        back.get_by_role("button", name="Go back").click()
        expect(page.locator(".figure")).to_have_text(first)
        again = page.locator("section", has=page.get_by_role("heading", name="Put another model live"))
        again.get_by_label("Reason").fill("once more")
        again.get_by_role("button", name="Put it live").click()
        expect(page.get_by_role("alert")).to_contain_text("taken back")
        again.get_by_label("Reason").fill("once more")
        again.get_by_label("Although it was refused").check()
        again.get_by_role("button", name="Put it live").click()
        expect(page.locator(".figure")).not_to_have_text(first)
        history = platform.platform.ledger.history(NAME)
        assert [(row.action, row.actor) for row in history[2:]] == [(what, "ann operator") for what in ("promote", "rollback", "promote")]


def test_keys_are_made_and_revoked_with_one_s_own_key(browser: Browser, platform: Stand, address: str) -> None:
    with opened(browser, address, "dark", 390) as page:
        sign_in(page, address, platform.keys["operator"], "/administration")
        looked_at(page, "administration-dark-390")
    with opened(browser, address) as page:
        sign_in(page, address, platform.keys["operator"], "/administration")
        looked_at(page, "administration-light-1280")
        form = page.locator("section", has=page.get_by_role("heading", name="Make a key"))
        for own, told in ((platform.keys["marketing"], "not the key that you signed in with"), (platform.keys["operator"], "")):
            form.get_by_label("Owner").fill("branch 12")
            form.get_by_label("Role").select_option("auditor")
            form.get_by_label("Your own key").fill(own)
            form.get_by_role("button", name="Make the key").click()
            if told:
                expect(page.get_by_role("alert")).to_contain_text(told)
        made = page.locator(".secret").inner_text()
        caller = platform.app.test_client().get("/v1/caller", headers={"Authorization": f"Bearer {made}"}).json
        assert (caller["name"], caller["role"]) == ("branch 12", "auditor")
        looked_at(page, "administration-new-key")
        form = page.locator("section", has=page.get_by_role("heading", name="Revoke a key"))
        form.get_by_label("Key", exact=True).select_option(caller["key_id"])
        form.get_by_label("Reason").fill("lost")
        form.get_by_label("Your own key").fill(platform.keys["operator"])
        form.get_by_role("button", name="Revoke it").click()
        expect(page.locator("tbody tr", has_text=caller["key_id"])).to_contain_text("revoked")
        assert platform.app.test_client().get("/v1/caller", headers={"Authorization": f"Bearer {made}"}).status_code == 401
        assert made not in page.content()
        # The key that was made stands in no page but the one that said so.
        page.goto(f"{address}/administration")
        assert made not in page.content()


def test_a_customer_is_lifted_and_forgotten(browser: Browser, platform: Stand, address: str) -> None:
    (row,) = people(1, seed=77)
    scored(platform, [{**row, "id": "Forgetful 1"}])
    with opened(browser, address) as page:
        sign_in(page, address, platform.keys["operator"], "/suppressions")
        leave_alone(page, "Forgetful 1")
        expect(page.locator("tbody tr", has_text="Forgetful 1")).to_contain_text("objection")
        assert next(iter(scored(platform, [{**row, "id": "Forgetful 1"}]).values()))[1] == "leave"
        form = page.locator("section", has=page.get_by_role("heading", name="Lift one"))
        form.get_by_label("Customers").fill("Forgetful 1")
        form.get_by_role("button", name="Lift it").click()
        expect(page.locator("tbody tr", has_text="Forgetful 1")).to_have_count(0)
        page.goto(f"{address}/administration")
        form = page.locator("section", has=page.get_by_role("heading", name="Forget a customer"))
        form.get_by_label("Customer id").fill("Forgetful 1")
        form.get_by_label("Reason").fill("asked for it")
        form.get_by_label("Your own key").fill(platform.keys["operator"])
        form.get_by_role("button", name="Forget").click()
        expect(page.get_by_role("status")).to_contain_text("Forgotten: 2 predictions")
        looked_at(page, "administration-forgotten")
