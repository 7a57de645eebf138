import os
import signal

import pytest

from cloze.model.stopping import ask_for_requeue, stop_request


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C is heard, also where the tests themselves are a shell's background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_is_noted_and_its_handler_given_back(number):
    before = signal.getsignal(number)
    with stop_request() as stop:
        assert stop.reason == ""
        os.kill(os.getpid(), number)
        assert stop.reason == number.name
    assert signal.getsignal(number) == before


def test_a_second_interrupt_does_not_wait():
    with stop_request() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert stop.reason == "SIGINT"


def test_what_a_shell_made_deaf_to_ctrl_c_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stop_request() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason == ""


def test_a_file_asks_to_stop_as_well(tmp_path, monkeypatch):
    monkeypatch.setenv("CLOZE_STOP_FILE", str(tmp_path / "stop"))
    with stop_request() as stop:
        assert stop.reason == ""
        (tmp_path / "stop").touch()
        assert stop.reason == str(tmp_path / "stop")


def test_word_is_left_where_a_file_is_named_for_it(tmp_path, monkeypatch):
    assert not ask_for_requeue()
    monkeypatch.setenv("CLOZE_REQUEUE_FILE", str(tmp_path / "requeue"))
    assert ask_for_requeue()
    assert (tmp_path / "requeue").exists()
