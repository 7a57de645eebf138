import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloze.errors import MissingInputError
from cloze.locks import locked

HOLD = """
import sys, time
from pathlib import Path
from cloze.locks import locked
lock = locked(Path(sys.argv[1]), "it")
print("held", flush=True)
time.sleep(60)
"""


def test_a_lock_is_one_holders_until_it_is_closed(tmp_path):
    with (
        locked(tmp_path / "new" / "a.lock", "the ledger"),
        pytest.raises(MissingInputError, match=r"the ledger is in use by process \d+ on .+; wait until it has ended"),
    ):
        locked(tmp_path / "new" / "a.lock", "the ledger")
    locked(tmp_path / "new" / "a.lock", "the ledger").close()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path):
    path = tmp_path / "a.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(MissingInputError, match=f"it is in use by process {holder.pid} "):
            locked(path, "it")
        holder.kill()
    locked(path, "it").close()


def test_who_waits_for_a_lock_gets_it_when_it_is_given_back(tmp_path):
    held = locked(tmp_path / "a.lock", "it")
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(locked, tmp_path / "a.lock", "it", wait=True)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        held.close()
        waiting.result(timeout=10).close()
