"""A server on loopback whose handler is a plain function, and that can break connections on purpose.

A bug in a handler is answered with 500, never with a broken connection (which would look like a fault under test), and
raised again when the server is left.
"""

import json
import re
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """One request; the names of its headers are in lower case, its path is still quoted."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, an empty object where there is none."""
        return json.loads(self.body) if self.body else {}


@dataclass(frozen=True)
class Reply:
    """An answer; `sent` bytes of its body are sent before the connection is reset (None: all, and it is kept)."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int | None = None


class Problem(Exception):  # noqa: N818 - an answer rather than an error of ours
    """Ends a handler with an answer that is no success."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, reply.body)
        self.reply = reply


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply that carries JSON."""
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


RESET = Reply(sent=-1)  # not even a status line

Handler = Callable[[Request], Reply]
Route = tuple[str, str, str, Callable[..., Reply]]  # method, pattern of the path, name of the call, what to do


class LoopbackServer:
    """`with LoopbackServer(handle) as server: server.url`; requests are handled one at a time."""

    def __init__(self, handle: Handler, latency_s: float = 0.0) -> None:
        self.bugs: list[str] = []
        self._handle, self._latency_s, self._lock = handle, latency_s, threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert not self.bugs, "the fake itself failed:\n" + "\n".join(self.bugs)

    def reply(self, request: Request) -> Reply:
        """What the handler says; 500 if it fails."""
        time.sleep(self._latency_s)
        try:
            with self._lock:
                return self._handle(request)
        except Problem as problem:
            return problem.reply
        except Exception:  # noqa: BLE001 - whatever it is, it is shown when the server is left
            self.bugs.append(traceback.format_exc())
            return as_json({"error": {"code": 500, "message": "a bug of the fake", "status": "INTERNAL"}}, 500)


def _handler_of(server: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class _Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def _answer(self) -> None:
            split = urlsplit(self.path)
            n_bytes = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(n_bytes)
            if len(body) < n_bytes:  # whoever asked was killed
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            # Some clients double slashes.
            path = re.sub("/+", "/", split.path)
            reply = server.reply(Request(self.command, path, dict(parse_qsl(split.query)), headers, body))
            try:
                if reply.sent != -1:
                    self._send(reply)
            except ConnectionError:  # likewise
                self.close_connection = True
            if reply.sent is not None:
                self._reset()

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body[: reply.sent])

        def _reset(self) -> None:
            """Close the connection so that the other side sees a reset."""
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()  # it holds the connection open
            self.connection.close()

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer  # noqa: N815

    return _Handler
