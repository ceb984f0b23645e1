"""A web server on this machine, with the faults of real servers."""

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Fault:
    """How a request is answered: as it should be, unless a field says otherwise.

    ``cut``: the connection ends after so many bytes; ``stall``: it is silent for so many seconds
    first; ``body``: another content, of the type ``type``; ``status``: an error; ``ranges``: off
    for a server that always sends the whole file; ``tags``: off for one that names no version.
    """

    cut: int | None = None
    stall: float = 0
    body: bytes | None = None
    type: str = "application/x-gzip"
    status: int = 200
    ranges: bool = True
    tags: bool = True


@dataclass
class Served:
    """A running server: its address with a slash, and the path and Range of each request."""

    url: str
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serve(folder: Path, faults: Mapping[str, Iterable[Fault]] | None = None) -> Iterator[Served]:
    """Serve a folder on this machine.

    Args:
        faults: by path without the first slash, for one request after the other; what comes after
            them is answered as it should be.
    """
    remaining = {path: iter(listed) for path, listed in (faults or {}).items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/")
            served.requests.append((path, self.headers["Range"]))
            fault = next(remaining.get(path, iter(())), Fault())
            time.sleep(fault.stall)
            if fault.status != 200 or not (folder / path).is_file():
                self.send_error(fault.status if fault.status != 200 else 404)
                return
            body = (folder / path).read_bytes() if fault.body is None else fault.body
            etag = f'"{hashlib.sha256(body).hexdigest()}"'
            asked = self.headers["Range"] if fault.ranges else None
            if asked and self.headers["If-Range"] in (None, etag):
                start, size = int(asked[len("bytes=") : -1]), len(body)
                if start >= size:
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
                body = body[start:]
            else:
                self.send_response(200)
            if fault.tags:
                self.send_header("ETag", etag)
            self.send_header("Content-Type", fault.type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: fault.cut])

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Served(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
