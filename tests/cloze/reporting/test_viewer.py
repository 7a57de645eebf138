"""What the viewer reads is the data, whatever its texts hold."""

import json
from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from cloze.reporting.page import environment
from cloze.reporting.viewer import VIEWER


class Scripts(HTMLParser):
    """The text of every script and every tag of a page, as a browser divides them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@given(st.text())
@example("</script><script>document.title = 1</script>")
@example("<!-- <script>")
@example('"><img src=x onerror=alert(1)>')
@example("\u2028\u2029\x00 ]]> &lt;/script&gt; \ud800")
def test_any_text_comes_back_out_of_the_page_as_it_was(text):
    data = {"strips": [text], text: None}
    page = Scripts(environment().from_string("<script>{{ data | tojson }}</script><p>after</p>").render(data=data))
    assert page.tags == ["script", "p"]
    assert json.loads("".join(page.texts[:-1])) == data
    assert page.texts[-1] == "after"


def test_the_script_can_stand_in_a_page_as_it_is():
    script = VIEWER.read_text()
    assert not any(end in script.lower() for end in ("</script", "<!--", "\r"))
    assert not any(name in script for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "fetch("))
