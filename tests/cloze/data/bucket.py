"""A bucket on this machine: as much of the Cloud Storage API as reading files takes, over a local folder."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit


@contextmanager
def bucket(folder: Path) -> Iterator[str]:
    """Serve the folder as `gs://anonymous@bucket`; gives what follows the path in a URI of it."""

    class Handler(_Handler):
        root = folder

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"?scheme=http&endpoint_override=127.0.0.1:{server.server_port}&retry_limit_seconds=5"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    root: Path

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        options = dict(parse_qsl(url.query))
        _, is_object, name = url.path.removeprefix("/storage/v1/b/bucket").partition("/o/")
        path = self.root / unquote(name)
        if not is_object:
            self._send(200, json.dumps({"items": self._list(options)}).encode())
        elif not path.is_file():
            self._send(404, b'{"error": {"code": 404, "message": "no such object"}}')
        else:
            self._send(
                200, path.read_bytes() if options.get("alt") == "media" else json.dumps(self._item(path)).encode()
            )

    def _list(self, options: dict[str, str]) -> list[dict[str, str]]:
        """Objects that begin so; as in a real bucket, folders are no objects."""
        items = [self._item(path) for path in sorted(self.root.rglob("*")) if path.is_file()]
        prefix, delimiter = options.get("prefix", ""), options.get("delimiter")
        found = [item for item in items if item["name"].startswith(prefix)]
        return [item for item in found if not delimiter or delimiter not in item["name"].removeprefix(prefix)]

    def _item(self, path: Path) -> dict[str, str]:
        name = path.relative_to(self.root).as_posix()
        return {"name": name, "bucket": "bucket", "size": str(path.stat().st_size), "generation": "1"}

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
