"""The report in Chromium: it runs nothing, asks for nothing, and can be read at phone width and in the dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.is_file():
        pytest.skip(f"no browser: {CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def open_report(browser: Browser, path: Path, **options) -> tuple[Page, list[str]]:
    """The opened page, and everything it complained of or asked for."""
    page = browser.new_page(**options)
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on(
        "request", lambda request: trouble.append(request.url) if request.url[:5] not in ("file:", "data:") else None
    )
    page.goto(path.as_uri())
    return page, trouble


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_complaint_and_fits_the_screen(report, browser, width, scheme):
    size = {"width": width, "height": 900}
    page, trouble = open_report(browser, report.folder / "report.html", viewport=size, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.querySelector('.plot text')).fill") == page.evaluate(
        "getComputedStyle(document.body).color"
    )
    assert trouble == []
    page.close()


def test_smuggled_script_does_not_run(report, browser, tmp_path):
    # Without the page's own policy, so that escaping alone has to hold.
    bare = tmp_path / "bare.html"
    bare.write_text(report.html.replace("Content-Security-Policy", "x-none"))
    page, trouble = open_report(browser, bare)
    assert page.evaluate("document.querySelectorAll('script, img, iframe, object, [onerror]').length") == 0
    assert page.title() == "Reading between the panels: 6 evaluated runs"
    assert "<script>document.title" in page.inner_text("body")
    assert trouble == []
    page.close()


def test_the_policy_of_the_page_stops_what_escaping_would_not(report, browser, tmp_path):
    planted = tmp_path / "planted.html"
    planted.write_text(report.html.replace("</main>", "<script>document.title = 'planted'</script></main>"))
    page, trouble = open_report(browser, planted)
    assert page.title() != "planted"
    assert any("Content Security Policy" in line for line in trouble)
    page.close()


def test_without_javascript_panel_6_opens_when_asked(report, browser):
    page, _ = open_report(browser, report.folder / "report.html", java_script_enabled=False)
    strip = page.locator("article.strip").first
    target = strip.locator("details svg, details .gap")
    assert not target.is_visible()
    strip.locator("summary").click()
    assert target.is_visible()
    page.close()
