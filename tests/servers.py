"""Starting servers for tests."""

import socket
import subprocess
import time
import urllib.error
import urllib.request

_PATIENCE = 120  # seconds


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_until_healthy(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a server answers; fail at once where it has ended."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, f"the server ended with status {process.returncode}"
            assert time.monotonic() < deadline, f"no answer from {url} in {_PATIENCE} s"
            time.sleep(0.3)
