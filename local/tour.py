"""``python -m local.tour``: the pictures of docs/tour.md, taken in a real browser from the platform that ``make up`` filled.

Light, 1,200 pixels wide, as few colours as a page needs. The pages are only looked at: nothing is sent but the key that signs in.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.environment import PROJECT, home_folder
from local.keys import machine_key
from local.processes import Processes
from propensity.access import Role
from propensity.errors import PropensityError, StoreError

if TYPE_CHECKING:
    from playwright.sync_api import Page

CAMPAIGN = "term-deposit"
FOLDER = PROJECT / "docs" / "tour"
WIDTH, HEIGHT = 1200, 900
MOST_BYTES, MOST_TOGETHER_BYTES = 150_000, 1_500_000
COLOURS = 64
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@dataclass(frozen=True)
class Stop:
    """One step of the tour: where it is, the heading that stands there, and how one gets there where an address does not say."""

    picture: str
    path: str
    heading: str
    way: str = "address"


STOPS = (
    Stop("01-sign-in", "/sign-in", "Sign in"),
    Stop("02-lists", "/lists", "Lists"),
    Stop("03-new-list", "/lists/new", "Score a list"),
    Stop("04-result", "/lists", "Term deposit subscription", "first list"),
    Stop("05-why", "/lists", "Why this score", "best of the first list"),
    Stop("06-campaign", f"/campaigns/{CAMPAIGN}", "Term deposit subscription"),
    Stop("07-report", f"/campaigns/{CAMPAIGN}/report", "Term deposit subscription"),
    Stop("08-models", f"/models?campaign={CAMPAIGN}", "Models"),
    Stop("09-monitoring", f"/monitoring?section=drift&campaign={CAMPAIGN}&span=365d", "Drift"),
    Stop("10-administration", "/administration", "Administration"),
    Stop("11-suppressions", "/suppressions", "Do not contact"),
)


def walk(page: Page, address: str, key: str, folder: Path) -> list[Path]:
    """Take every picture. Raises StoreError where a heading is another one than the tour says."""
    found = []
    for stop in STOPS:
        page.goto(address + stop.path)
        if stop.way != "address":
            page.locator('main a[href^="/lists/term-deposit."]').first.click()
        if stop.way == "best of the first list":
            page.locator('main a[href^="/predictions/"]').first.click()
        heading = page.locator("h1").first.inner_text()
        if heading != stop.heading:
            raise StoreError(f"{stop.path} has the heading {heading!r}, the tour says {stop.heading!r}")
        path = folder / f"{stop.picture}.png"
        page.wait_for_load_state("networkidle")
        page.screenshot(path=path)
        smaller(path)
        found.append(path)
        if stop.path == "/sign-in":
            page.fill("#key", key)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_load_state("networkidle")
    return found


def smaller(path: Path) -> None:
    """The same picture in few colours. Raises StoreError where it is still too large for the documents."""
    from PIL import Image

    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        raise StoreError(f"{path.name} has {path.stat().st_size:,} bytes; {MOST_BYTES:,} are allowed")


def pictures_of(text: str) -> list[str]:
    """Names of the pictures that a document shows."""
    return re.findall(r"!\[[^\]]+\]\(tour/([a-z0-9-]+)\.png\)", text)


def main(argv: Sequence[str] | None = None) -> int:
    """Take the pictures; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.tour", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args(argv)
    home = home_folder()
    browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    running = Processes(home).running("api")
    if browser_path is None or running is None:
        print("error: " + ("no Chromium is installed" if browser_path is None else "make up first: no service runs"), file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    args.out.mkdir(parents=True, exist_ok=True)
    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=browser_path, args=list(ARGUMENTS))
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            found = walk(page, running.page, machine_key(home, Role.OPERATOR), args.out)
            browser.close()
    except PropensityError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_code
    print(f"{len(found)} pictures, {sum(path.stat().st_size for path in found):,} bytes, in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
