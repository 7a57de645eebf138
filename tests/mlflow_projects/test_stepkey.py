"""The step key changes when, and only when, a step would do other work."""

import gc
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlflow_projects.stepkey import code_digests, content_digest, step_key


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "jobs/step.py": "from cloze.work import work\n",
        "cloze/__init__.py": "",
        "cloze/work.py": "def work():\n    from cloze import deep\n    return deep\n",
        "cloze/deep.py": 'DATA_FILES = ("weights",)\n',
        "cloze/weights/a.bin": "1",
        "cloze/other.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def digest(root: Path) -> Mapping[str, str]:
    code_digests.cache_clear()
    return code_digests("jobs.step", root)


@pytest.mark.parametrize("name", ["jobs/step.py", "cloze/work.py", "cloze/deep.py", "cloze/weights/a.bin"])
def test_code_and_data_that_a_step_reaches_count(project, name):
    before = digest(project)
    with (project / name).open("a", encoding="utf-8") as stream:
        stream.write("\n# changed\n")
    assert digest(project) != before


def test_code_that_a_step_does_not_reach_does_not_count(project):
    before = digest(project)
    (project / "cloze/other.py").write_text("changed = True\n", encoding="utf-8")
    assert digest(project) == before


def test_a_file_counts_by_its_contents_and_a_folder_by_what_is_in_it(tmp_path):
    file = tmp_path / "ads.txt"
    file.write_text("1---2\n", encoding="utf-8")
    of_file, of_folder = content_digest(str(file)), content_digest(str(tmp_path))
    file.write_text("1---2\n3---4\n", encoding="utf-8")
    assert content_digest(str(file)) != of_file
    assert content_digest(str(tmp_path)) != of_folder


def test_a_word_that_names_nothing_has_no_content():
    assert content_digest("sample") is None
    assert content_digest("") is None


def test_the_order_of_parts_does_not_matter():
    assert step_key({"a": 1, "b": 2}) == step_key({"b": 2, "a": 1})
    assert step_key({"a": 1}) != step_key({"a": 2})


def test_threads_that_digest_code_at_once_all_get_it():
    def let_others_run(*_: object) -> None:
        time.sleep(0.001)

    programs = ["jobs.ingest", "jobs.sequences", "jobs.eval"]
    code_digests.cache_clear()
    gc.callbacks.append(let_others_run)  # Python code runs in the middle of a parse where garbage is collected
    try:
        with ThreadPoolExecutor(3) as threads:
            assert len({tuple(found.items()) for found in threads.map(code_digests, programs)}) == 3
    finally:
        gc.callbacks.remove(let_others_run)
