"""A browser for the page's tests: Debian's Chromium, driven by Playwright; neither downloads a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from made_runs import Open
from playwright.sync_api import Browser, Page, sync_playwright

from emu.trace.model import Recording
from emu.views.page import page as page_of


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Without it these tests fail: they would prove nothing otherwise."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("the page is tested in Chromium: install the package chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path)
        yield found
        found.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Open:
    """Opens the page of a recording; what the console, the page or the network complain of fails the test."""

    @contextmanager
    def open_page(
        recording: Recording, scheme: str = "light", size: tuple[int, int] = (1280, 800), at: int | None = None
    ) -> Iterator[Page]:
        file = tmp_path / "page.html"
        file.write_text(page_of(recording), encoding="utf-8")
        complaints: list[str] = []
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce",  # type: ignore[arg-type]
        )
        shown = context.new_page()
        shown.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        shown.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else complaints.append(r.url))
        shown.goto(file.as_uri() + ("" if at is None else f"#step={at}"))
        shown.wait_for_selector("body[data-ready]", state="attached")
        yield shown
        context.close()
        assert complaints == []

    return open_page
