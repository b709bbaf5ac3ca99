"""A headless Chromium that tests click in: the one that is installed, driven by playwright."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reports.readme import BROWSERS


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; without one the test is skipped, and under CI it fails."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        reason = f"none of {', '.join(BROWSERS)} is installed; apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[test]'")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A page opened at a size and in a colour scheme, with everything that it complained of or asked for."""

    def __init__(self, browser: Any, path: Path, *, width: int = 1200, colours: str = "light", script: bool = True):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=colours,
            java_script_enabled=script,
            accept_downloads=True,
        )
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.set_default_timeout(10_000)
        self.page.goto(path.as_uri())
        if script:
            self.page.wait_for_selector("html[data-ready]")

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def texts(self, selector: str) -> list[str]:
        """Texts of the visible elements."""
        return [each.inner_text().strip() for each in self.page.locator(selector).all() if each.is_visible()]

    def run(self, code: str) -> Any:
        """The value of an expression in the page."""
        return self.page.evaluate(code)

    def wait(self, code: str) -> None:
        """Wait until an expression is true; playwright's own waiting evaluates text, which the page forbids."""
        end = time.monotonic() + 10
        while not self.run(code):
            assert time.monotonic() < end, f"{code} is still not true after 10 s"
            self.page.wait_for_timeout(20)
