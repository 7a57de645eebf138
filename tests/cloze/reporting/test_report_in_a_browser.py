"""The report in Chromium: it runs only its viewer, asks for nothing, and can be read at phone width and in the dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cloze.reporting.page import N_PLAIN
from tests.cloze.reporting.test_report import strips_data

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
    assert page.locator("script").count() == 2
    assert page.locator("#viewer-by option").count() == 5
    marked = 0
    for _ in range(23):
        page.keyboard.press("r")
        card = page.locator("#viewer-card")
        marked += "<script>document.title" in card.inner_text()
        assert card.locator("script, iframe, object, [onerror], img:not([src^='data:image/webp'])").count() == 0
        page.keyboard.press("j")
    assert marked >= 4  # lettering, a prediction, two labels
    assert page.locator("iframe, object, [onerror], img[src='x']").count() == 0
    assert page.title() == "Reading between the panels: 6 evaluated runs"
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
    assert page.locator("article.strip:visible").count() == 4 * N_PLAIN
    assert not page.locator("#viewer").is_visible()
    strip = page.locator("article.strip").first
    target = strip.locator("details svg, details .gap")
    assert not target.is_visible()
    strip.locator("summary").click()
    assert target.is_visible()
    page.close()


@pytest.fixture
def viewer(report, browser) -> Iterator[Page]:
    """The page with its viewer, at phone width; it must not complain whatever a test does."""
    size = {"width": 390, "height": 844}
    page, trouble = open_report(browser, report.folder / "report.html", viewport=size)
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert trouble == []
    page.close()


def shown(page: Page) -> str | None:
    return page.locator("#viewer-card").get_attribute("data-sequence")


def walk(page: Page) -> list[str | None]:
    """Ids of the strips from here to the last, by the keyboard."""
    found = [shown(page)]
    while page.locator("#viewer-next").is_enabled():
        page.keyboard.press("j")
        found.append(shown(page))
    return found


def test_the_viewer_shows_every_strip_in_the_order_asked_for(viewer, report):
    strips = {strip["id"]: strip for strip in strips_data(report)["strips"]}
    assert walk(viewer) == list(strips)
    viewer.select_option("#viewer-order", "worst")
    ranks = [strips[str(key)]["rank"] for key in walk(viewer)]
    assert ranks == sorted(ranks)
    viewer.select_option("#viewer-by", "2")
    viewer.select_option("#viewer-order", "best")
    scores = [strips[str(key)]["scores"][2] for key in walk(viewer)]
    assert scores == sorted(scores, reverse=True)
    assert viewer.locator("#viewer-card .text:not(.label)").count() == 1


def test_the_largest_disagreement_comes_first(viewer, report):
    strips = {strip["id"]: strip for strip in strips_data(report)["strips"]}
    viewer.select_option("#viewer-order", "apart")
    spreads = [max(s) - min(s) for s in (strips[str(key)]["scores"] for key in walk(viewer))]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[0] > spreads[-1]


def test_books_and_words_are_found(viewer, report):
    viewer.select_option("#viewer-book", "3")
    assert {str(key).split("/")[0] for key in walk(viewer)} == {"3"}
    viewer.select_option("#viewer-book", "")
    viewer.fill("#viewer-text", "4/1_7")
    assert walk(viewer) == ["4/1_7"]
    viewer.fill("#viewer-text", "no such words anywhere")
    assert viewer.inner_text("#viewer-place") == "no strip fits"
    assert viewer.locator("#viewer-reveal").is_disabled()
    viewer.keyboard.press("Escape")
    assert viewer.inner_text("#viewer-place") == "1 of 24"


def test_panel_6_and_what_was_said_of_it_are_hidden_until_asked(viewer):
    card = viewer.locator("#viewer-card")
    assert card.locator(".panels img").count() + card.locator(".panels .gap:not(.unknown)").count() == 5
    assert "The panel shows this" not in card.inner_text()
    viewer.click("#viewer-reveal")
    assert card.locator(".sixth img, .sixth .gap:not(.unknown)").count() == 1
    assert "The panel shows this" in card.inner_text()
    assert "lettering of panel 6" in card.inner_text()
    assert viewer.locator("#viewer-reveal").get_attribute("aria-expanded") == "true"
    viewer.keyboard.press("r")
    assert card.locator(".sixth .unknown").count() == 1


def test_all_pictures_of_the_viewer_can_be_decoded(viewer):
    for _ in range(24):
        viewer.keyboard.press("r")
        viewer.keyboard.press("r")
        viewer.keyboard.press("r")
        widths = "Promise.all(images.map((image) => image.decode().then(() => image.naturalWidth)))"
        images = viewer.locator("#viewer-card img")
        assert all(width > 0 for width in images.evaluate_all(f"images => {widths}"))
        viewer.keyboard.press("ArrowRight")


def test_the_keyboard_reaches_everything(viewer):
    first = shown(viewer)
    viewer.keyboard.press("ArrowRight")
    assert shown(viewer) != first
    viewer.keyboard.press("k")
    assert shown(viewer) == first
    viewer.keyboard.press("ArrowLeft")
    assert shown(viewer) == first
    viewer.keyboard.press("/")
    viewer.keyboard.type("jkr?/")
    assert viewer.input_value("#viewer-text") == "jkr?/"
    viewer.keyboard.press("Escape")
    assert viewer.input_value("#viewer-text") == ""
    viewer.keyboard.press("?")
    assert viewer.locator("#viewer-help").is_visible()
    viewer.keyboard.press("Escape")
    assert not viewer.locator("#viewer-help").is_visible()
    assert shown(viewer) == first


def test_a_strip_can_be_linked_to(viewer, report, browser):
    viewer.keyboard.press("j")
    viewer.keyboard.press("j")
    address = viewer.url
    assert address.endswith(f"#s={shown(viewer)}")
    again = browser.new_page()
    again.goto(address)
    assert shown(again) == shown(viewer)
    assert again.locator("#viewer").bounding_box()["y"] < 720
    again.evaluate("location.hash = '#s=4/1_7'")
    again.wait_for_function("document.getElementById('viewer-card').dataset.sequence === '4/1_7'")
    again.evaluate("location.hash = '#s=9999/%E0%A4%A'")
    again.wait_for_function("document.getElementById('viewer-place').textContent.includes('does not show')")
    again.close()


def test_it_works_inside_the_sandbox_that_mlflow_shows_pages_in(report, browser):
    page, trouble = open_report(browser, report.folder / "report.html")
    page.set_content("<iframe sandbox='allow-scripts' style='width: 900px; height: 900px'></iframe>")
    page.evaluate("text => { document.querySelector('iframe').srcdoc = text }", report.html)
    frame = page.frame_locator("iframe")
    frame.locator("#viewer-next").click()
    assert frame.locator("#viewer-place").inner_text() == "2 of 24"
    assert trouble == []
    page.close()


def test_text_drawn_panel_and_true_panel_stand_side_by_side_when_panel_6_is_shown(report, browser):
    page, trouble = open_report(browser, report.folder / "report.html", viewport={"width": 1200, "height": 900})
    page.locator("#viewer-book").select_option("3")
    pair = page.locator("#viewer-card .pair").first
    assert (pair.locator("img").count(), pair.locator(".unknown").count()) == (1, 1)
    page.locator("#viewer-reveal").click()
    drawn, true = pair.locator("figure").evaluate_all("all => all.map(each => each.getBoundingClientRect().toJSON())")
    assert drawn["top"] == true["top"]
    assert drawn["right"] <= true["left"]
    assert pair.locator("figcaption").first.inner_text() == "drawn from this text"
    assert trouble == []
    page.close()
