"""A Hub on the loopback: what unmodified `huggingface_hub` and `datasets` clients speak over HTTP.

    python -m hub.server --folder DIR        (from tests/; prints its address, serves until its input ends)

Repositories of datasets alone; large files as LFS, without Xet. Set `HF_ENDPOINT` to `Hub.url` before the
clients are imported, and `HF_HUB_DISABLE_XET=1`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub import api
from tests.hub.api import Answer, as_json
from tests.hub.faults import ANSWERS, Faults, Kind
from tests.hub.store import Refused, Store

WRITER = "hf_write_secret_of_the_tests"
READER = "hf_read_secret_of_the_tests"


class Gone(Exception):
    """The connection ends here, without an answer."""


class Body:
    """The content of a request, of a length that is told or in chunks; `Gone` where a fault cuts it."""

    def __init__(self, handler: Handler, fault: Kind | None) -> None:
        self._file = handler.rfile
        self._chunked = "chunked" in handler.headers.get("Transfer-Encoding", "")
        self._left = 0 if self._chunked else int(handler.headers.get("Content-Length") or 0)
        self.ended = not self._chunked and not self._left
        self._fault, self._seen, self._half = fault, 0, max(self._left // 2, 1 if self._left else 1 << 16)
        self._handler = handler

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; none at the end."""
        if self.ended:
            return b""
        if self._chunked and not self._left:
            self._left = int(self._file.readline().split(b";")[0] or b"0", 16)
        chunk = self._file.read(min(count, self._left, self._half))
        if self._left and not chunk:
            raise Gone  # the client went away
        self._left -= len(chunk)
        if self._chunked and not self._left:
            self.ended = not chunk
            self._file.readline()
        elif not self._left:
            self.ended = True
        return self._meet(chunk)

    def _meet(self, chunk: bytes) -> bytes:
        before, self._seen = self._seen, self._seen + len(chunk)
        if chunk and self._fault == "corrupt" and before == 0:
            return bytes([chunk[0] ^ 4]) + chunk[1:]
        if chunk and self._fault in ("kill-midway", "drop") and self._seen >= self._half:
            if self._fault == "kill-midway":
                self._handler.hub.faults.kill()
            raise Gone
        return chunk

    def all(self) -> bytes:
        parts = []
        while chunk := self.read(1 << 20):
            parts.append(chunk)
        return b"".join(parts)


def damaged(answer: Answer, fault: Kind) -> Answer:
    """An answer in JSON as a broken proxy would give it; any other answer as it is."""
    if answer.status != 200 or answer.headers.get("Content-Type") != "application/json":
        return answer
    content: dict[str, bytes] = {
        "half-json": bytes(answer.content)[: answer.size // 2],
        "other-json": b'[{"x": null}]' if bytes(answer.content).startswith(b"{") else b'{"x": [null]}',
        "page": b"<!doctype html><title>Sign in</title>",
    }
    return Answer(answer.status, content[fault], dict(answer.headers))


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """The hub keeps its own log, without queries, which carry signatures."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        fault = self.hub.faults.meet(self.command, unquote(parts.path))
        body = Body(self, fault)
        try:
            answer = self._answer(parts.path, parse_qs(parts.query), body, fault)
            if fault in ANSWERS:
                answer = damaged(answer, fault)
            self.hub.log.append(f"{self.command} {unquote(parts.path)} {answer.status}")
            if fault == "kill-after":
                self.hub.faults.kill()
            if fault in ("kill-after", "drop-after"):
                raise Gone
            if fault == "slow":
                time.sleep(self.hub.faults.delay)
            self._send(answer, fault)
            self.close_connection = self.close_connection or not body.ended
        except (Gone, ConnectionError, TimeoutError):
            self.hub.log.append(f"{self.command} {unquote(parts.path)} cut")
            self.close_connection = True
        except Exception as error:
            self.hub.errors.append(f"{self.command} {parts.path} {fault}: {error!r}")
            raise

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _answer(self, path: str, query: dict[str, list[str]], body: Body, fault: Kind | None) -> Answer:
        if fault == "kill-before":
            self.hub.faults.kill()
            raise Gone
        if fault in ("500", "429"):
            body.all()
            more = {"Retry-After": "0"} if fault == "429" else {}
            return as_json({"error": "Internal Error" if fault == "500" else "Too many"}, int(fault), more)
        try:
            for method, pattern, respond in api.ROUTES:
                if method == self.command.replace("HEAD", "GET") and (found := re.fullmatch(pattern, path)):
                    arguments = {name: unquote(value) for name, value in found.groupdict(default="").items()}
                    return respond(api.Call(self.hub, self.headers, query, body), **arguments)
            raise Refused(404, f"nothing at {path}")
        except Refused as refused:
            if not body.ended:
                body.all()
            headers = {"X-Error-Message": refused.message}
            if refused.code:
                headers["X-Error-Code"] = refused.code
            if refused.commit:
                headers["X-Repo-Commit"] = refused.commit
            return as_json({"error": refused.message}, refused.status, headers)

    def _send(self, answer: Answer, fault: Kind | None) -> None:
        start, end, status = 0, answer.size, answer.status
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = dict(answer.headers)
        if wanted and status == 200 and "Accept-Ranges" in headers:
            start, end = int(wanted[1]), min(int(wanted[2] or end) + bool(wanted[2]), end)
            if start >= answer.size:
                start, end, status = 0, 0, 416
            else:
                status = 206
                headers["Content-Range"] = f"bytes {start}-{end - 1}/{answer.size}"
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(end - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            if fault in ("kill-midway", "drop", "truncate"):
                self._cut(fault)
            return
        half = fault in ("kill-midway", "drop", "truncate")
        self._write(answer.content, start, start + (end - start) // 2 if half else end, fault == "corrupt")
        if half:
            self._cut(fault)

    def _write(self, content: bytes | Path, start: int, end: int, corrupt: bool) -> None:
        if isinstance(content, Path) and not corrupt:
            with content.open("rb") as file:
                self.wfile.flush()
                if end > start:
                    self.connection.sendfile(file, start, end - start)
            return
        whole = content.read_bytes() if isinstance(content, Path) else content
        part = bytearray(whole[start:end])
        if corrupt and part:
            part[len(part) // 2] ^= 4
        self.wfile.write(part)

    def _cut(self, fault: Kind | None) -> None:
        self.wfile.flush()
        if fault == "kill-midway":
            self.hub.faults.kill()
        raise Gone


class Server(ThreadingHTTPServer):
    """Connections in threads; what goes wrong in the server itself is in `Hub.errors`."""

    daemon_threads = True
    request_queue_size = 64
    hub: Hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Quiet: `Handler` has noted what it raised."""

    def shutdown_request(self, request: Any) -> None:
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)
        self.close_request(request)


class Hub:
    """The running server: its store, its tokens, its faults, its log. `page` entries come at a time."""

    def __init__(self, folder: Path, page: int = 1000) -> None:
        self.store = Store(folder)
        self.tokens = {WRITER: "write", READER: "read"}
        self.faults = Faults()
        self.log: list[str] = []
        self.errors: list[str] = []
        self.page = page
        self._key = hashlib.sha256(str(folder).encode()).digest()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.hub = self
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.cdn = f"http://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()[:16]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def clear(self) -> None:
        """Forget repositories, objects, faults and log."""
        self.store.clear()
        self.faults.set(None)
        self.faults.victim = None
        self.log.clear()

    def puts(self) -> list[str]:
        """Hashes of the large files that were sent, in order, since the log was cleared."""
        return [
            line.split()[1].rpartition("/")[2]
            for line in self.log
            if line.startswith("PUT ") and line.endswith(" 200")
        ]


@contextlib.contextmanager
def running(folder: Path, page: int = 1000) -> Iterator[Hub]:
    hub = Hub(folder, page)
    try:
        yield hub
    finally:
        hub.close()
    assert not hub.errors, hub.errors


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, running(asked.folder or Path(temporary)) as hub:
        print(hub.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
