"""The part of Google Cloud Storage's JSON API that `google-cloud-storage` uses: upload, metadata, list, download."""

import base64
import hashlib
import itertools
import json
import re
from urllib.parse import quote, unquote

import google_crc32c

from tests.fakes.http import Problem, Reply, Request, Route, as_json


class FakeStorage:
    """Buckets with objects: `objects["BUCKET/NAME"]` is the content. Any bucket exists."""

    def __init__(self, url: str) -> None:
        self.objects: dict[str, bytes] = {}
        self._url = url
        self._sessions: dict[str, tuple[str, bytearray]] = {}
        self._generations: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self.routes: list[Route] = [
            ("POST", r"/upload/storage/v1/b/(?P<bucket>[^/]+)/o", "gcs_upload", self._upload),
            ("PUT", r"/upload/storage/v1/session/(?P<session>[^/]+)", "gcs_chunk", self._chunk),
            ("GET", r"/storage/v1/b/(?P<bucket>[^/]+)/o", "gcs_list", self._list),
            ("GET", r"/storage/v1/b/(?P<bucket>[^/]+)/o/(?P<name>[^/]+)", "gcs_get", self._get),
            ("GET", r"/download/storage/v1/b/(?P<bucket>[^/]+)/o/(?P<name>[^/]+)", "gcs_download", self._download),
        ]

    def put(self, bucket_and_name: str, content: bytes) -> None:
        """Store an object, as a new generation where there was one."""
        self.objects[bucket_and_name] = content
        self._generations[bucket_and_name] = next(self._numbers)

    def _upload(self, request: Request, bucket: str) -> Reply:
        kind = request.query["uploadType"]
        if kind == "resumable":
            name = request.query.get("name") or request.json["name"]
            self._require_generation(request, f"{bucket}/{name}")
            session = str(next(self._numbers))
            self._sessions[session] = (f"{bucket}/{name}", bytearray())
            return Reply(headers={"Location": f"{self._url}/upload/storage/v1/session/{session}"})
        if kind != "multipart":
            raise AssertionError(f"uploadType {kind}")
        metadata, content = _multipart(request)
        target = f"{bucket}/{metadata['name']}"
        self._require_generation(request, target)
        self.put(target, content)
        return as_json(self._metadata(target))

    def _chunk(self, request: Request, session: str) -> Reply:
        target, received = self._sessions[session]
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", request.headers["content-range"])
        assert found, request.headers["content-range"]
        assert int(found[1]) == len(received)
        received += request.body
        if found[3] == "*" or int(found[3]) > len(received):
            return Reply(308, headers={"Range": f"bytes=0-{len(received) - 1}"})
        self.put(target, bytes(received))
        return as_json(self._metadata(target))

    def _list(self, request: Request, bucket: str) -> Reply:
        prefix = f"{bucket}/{request.query.get('prefix', '')}"
        # One object a page, newest first: nothing may rely on one page or on an order.
        names = sorted((name for name in self.objects if name.startswith(prefix)), reverse=True)
        start = int(request.query.get("pageToken", "0"))
        page = {"kind": "storage#objects", "items": [self._metadata(name) for name in names[start : start + 1]]}
        return as_json(page | ({"nextPageToken": str(start + 1)} if start + 1 < len(names) else {}))

    def _get(self, request: Request, bucket: str, name: str) -> Reply:
        return as_json(self._metadata(self._known(f"{bucket}/{unquote(name)}")))

    def _download(self, request: Request, bucket: str, name: str) -> Reply:
        target = self._known(f"{bucket}/{unquote(name)}")
        content = self.objects[target]
        metadata = self._metadata(target)
        checks = f"crc32c={metadata['crc32c']},md5={metadata['md5Hash']}"
        headers = {"X-Goog-Hash": checks, "X-Goog-Generation": metadata["generation"], "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not wanted:
            return Reply(200, content, headers)
        start, end = int(wanted[1]), int(wanted[2] or len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return Reply(206, content[start : end + 1], headers)

    def _known(self, target: str) -> str:
        if target not in self.objects:
            raise Problem(as_json({"error": {"code": 404, "message": f"No such object: {target}"}}, 404))
        return target

    def _require_generation(self, request: Request, target: str) -> None:
        wanted = request.query.get("ifGenerationMatch")
        if wanted is not None and int(wanted) != self._generations.get(target, 0) * (target in self.objects):
            message = "At least one of the pre-conditions you specified did not hold."
            raise Problem(as_json({"error": {"code": 412, "message": message}}, 412))

    def _metadata(self, target: str) -> dict[str, str]:
        bucket, _, name = target.partition("/")
        content = self.objects[target]
        return {
            "kind": "storage#object",
            "bucket": bucket,
            "name": name,
            "size": str(len(content)),
            "generation": str(self._generations.get(target, 1)),
            "metageneration": "1",
            "crc32c": base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode(),
            "md5Hash": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),
            "mediaLink": f"{self._url}/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media",
        }


def _multipart(request: Request) -> tuple[dict[str, str], bytes]:
    """Metadata and content of a `multipart/related` body."""
    found = re.search(r'boundary="?([^";]+)"?', request.headers["content-type"])
    assert found, request.headers["content-type"]
    _, first, second, end = request.body.split(b"--" + found[1].encode())
    assert end.startswith(b"--")
    bodies = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in (first, second)]
    return json.loads(bodies[0]), bodies[1]
