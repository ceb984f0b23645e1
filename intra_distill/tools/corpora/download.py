"""Fetches archives over HTTP: interrupted downloads resume, and a wrong file is refused."""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tqdm import tqdm

from ...errors import UserError
from ...files import read_json, sha256, wait_for_lock, write_json
from .archive import is_web_page

TIMEOUT = 60  # seconds without a byte
ATTEMPTS = 5  # in a row without a new byte, after which a download is given up
PAUSE = 1  # seconds after the first of them, doubled after each further one
CHUNK = 2**16
MAX_BYTES = 2**34  # of a file of unknown size


@dataclass(frozen=True)
class Remote:
    """A file on the web, with its size in bytes and SHA-256 where they are known."""

    url: str
    size: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.rpartition("/")[2]


class Interrupted(Exception):
    """The connection ended before the file did."""


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def fetch(remote: Remote, folder: Path, instead: str) -> Path:
    """Return the file of that name in ``folder``; fetch it if it is not there yet.

    An interrupted download leaves its bytes in NAME.part. The next one resumes after them if the
    file on the server is still the same. NAME.json records the origin of NAME or NAME.part.
    Processes that share the folder wait for each other, where its file system has locks.

    Args:
        instead: what else the user can do, for the error messages.

    Raises:
        UserError: the server does not have the file or sends a web page for it; the connection
            fails ``ATTEMPTS`` times in a row; the file has the wrong size or SHA-256 or over
            ``MAX_BYTES``, and then nothing of it is kept; the disk is full; or NAME in ``folder``
            is another file.
    """
    check_url(remote)
    path = folder / remote.name
    part, origin = folder / f"{remote.name}.part", folder / f"{remote.name}.json"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "w")
    with lock:
        if why := wait_for_lock(lock):
            print(
                f"{folder} cannot be locked ({why}): see to it that no other process "
                "downloads to it",
                file=sys.stderr,
            )
        if path.exists():
            check_present(path, origin, remote)
            return path
        if not (part.exists() and origin.exists() and read_json(origin)["url"] == remote.url):
            discard(part, origin)
        print(f"fetching {remote.url}", file=sys.stderr)
        fetch_rest(remote, part, origin, instead)
        if fault := find_fault(part, remote):
            discard(part, origin)
            raise UserError(
                f"{remote.url} {fault}: damaged in transit or another file; none of it was kept: "
                f"try again, or {instead}"
            )
        os.replace(part, path)
    return path


def check_url(remote: Remote) -> None:
    """Raise UserError for a URL without a server or the name of a file."""
    try:
        parts = urlsplit(remote.url)
        well_formed = parts.hostname and remote.url.isascii() and " " not in remote.url
    except ValueError:
        well_formed = False
    if not well_formed:
        raise UserError(f"{remote.url} is not a URL: it needs a server, and %20 for a space")
    if not remote.name or remote.name.startswith("."):
        raise UserError(f"{remote.url} names no file")


def bytes_to_fetch(remote: Remote, folder: Path) -> int:
    """The bytes that :func:`fetch` would fetch of a file of known size."""
    if (folder / remote.name).exists():
        return 0
    return remote.size - size_or_zero(folder / f"{remote.name}.part")


def remove_fetched(path: Path) -> None:
    """Remove a fetched file and the record of its origin."""
    discard(path, path.with_name(f"{path.name}.json"))


def check_space(folder: Path, needed: int) -> None:
    """Raise UserError if the disk of ``folder`` has less than ``needed`` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder} has room for {free / 1e9:.1f} GB, but {needed / 1e9:.1f} GB are needed: "
            "make room or choose another folder"
        )


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the disk into a UserError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def check_present(path: Path, origin: Path, remote: Remote) -> None:
    """Raise UserError if an existing file is known to be another one, or of unknown origin."""
    known = remote.size or remote.sha256
    fetched = origin.exists() and read_json(origin)["url"] == remote.url
    fault = find_fault(path, remote)
    if fault or not (known or fetched):
        raise UserError(
            f"{path} {fault or f'was not fetched from {remote.url}'}: remove it to have it fetched"
        )


def find_fault(path: Path, remote: Remote) -> str | None:
    """Return what shows that a file is not the remote one, or None."""
    size = path.stat().st_size
    if remote.size is not None and size != remote.size:
        return f"has {size:,} bytes, not {remote.size:,}"
    if remote.sha256 is not None and (found := sha256(path)) != remote.sha256:
        return f"has the SHA-256 {found}, not {remote.sha256}"
    return None


def discard(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def size_or_zero(path: Path) -> int:
    """The bytes of a file, 0 if it does not exist."""
    return path.stat().st_size if path.exists() else 0


def fetch_rest(remote: Remote, part: Path, origin: Path, instead: str) -> None:
    """Fetch what ``part`` lacks, in several attempts if the connection fails."""
    failures = 0
    while True:
        before = size_or_zero(part)
        try:
            transfer(remote, part, origin, instead)
            return
        except HTTPError as error:
            reason = f"{error.code} {error.reason}"
            if error.code == 416:  # the part is at least as long as the file on the server
                discard(part, origin)
            elif error.code < 500 and error.code not in (408, 429):
                raise UserError(f"{remote.url}: the server says {reason}; {instead}") from error
        except (HTTPException, Interrupted) as error:
            reason = str(error) or type(error).__name__
        except OSError as error:  # of the network: an error of the disk is a UserError
            reason = str(getattr(error, "reason", error))
        failures = 1 if size_or_zero(part) > before else failures + 1
        if failures == ATTEMPTS:
            raise UserError(
                f"cannot fetch {remote.url} ({reason}): run again to resume from byte "
                f"{size_or_zero(part):,}, or {instead}"
            )
        time.sleep(PAUSE * 2 ** (failures - 1))


def transfer(remote: Remote, part: Path, origin: Path, instead: str) -> None:
    """Ask once for what ``part`` lacks and append it; replace it if it is of another file."""
    done = size_or_zero(part)
    most = remote.size or MAX_BYTES
    known = read_json(origin) if done else {}
    headers = {"User-Agent": "intra-distill", "Accept-Encoding": "identity"}
    if done and (known["validator"] or known["size"]):
        headers["Range"] = f"bytes={done}-"
        if known["validator"]:
            headers["If-Range"] = known["validator"]
    with urlopen(Request(remote.url, headers=headers), timeout=TIMEOUT) as response:
        total = whole_length(response)
        if response.status != 206:
            done = 0
        elif first_byte(response) != done or total != known["size"]:
            discard(part, origin)
            raise Interrupted("the file on the server has changed")
        chunk = response.read1(CHUNK)
        if done == 0:
            check_answer(remote, response, chunk, total, instead)
        if total is not None:
            check_space(part.parent, total - done)
        with disk_errors(part):
            # unbuffered: a full disk raises its error at write(), not as the file is closed
            file = open(part, "ab" if done else "wb", buffering=0)
            write_json(origin, {"url": remote.url, "size": total, "validator": validator(response)})
        bar = tqdm(
            desc=remote.name, initial=done, total=total, unit="B", unit_scale=True, disable=None
        )
        with file, bar:
            while chunk:
                done += len(chunk)
                if done > most:
                    discard(part, origin)
                    raise UserError(
                        f"{remote.url} sends more than {most:,} bytes: another file; none of "
                        f"it was kept; {instead}"
                    )
                with disk_errors(part):
                    write_all(file, chunk)
                bar.update(len(chunk))
                chunk = response.read1(CHUNK)
    if total is not None and size_or_zero(part) < total:
        raise Interrupted(f"the connection ended after {size_or_zero(part):,} of {total:,} bytes")


def write_all(file: FileIO, content: bytes) -> None:
    while content:
        content = content[file.write(content) :]


def check_answer(
    remote: Remote, response: HTTPResponse, start: bytes, total: int | None, instead: str
) -> None:
    """Raise UserError if headers or first bytes show that an answer is not the file."""
    if response.headers.get_content_type() == "text/html" or is_web_page(start):
        raise UserError(f"{remote.url} sends a web page, not an archive; {instead}")
    if None not in (total, remote.size) and total != remote.size:
        raise UserError(
            f"{remote.url} has {total:,} bytes, not {remote.size:,}: another file; {instead}"
        )
    if (total or 0) > (remote.size or MAX_BYTES):
        raise UserError(f"{remote.url} has {total:,} bytes, an absurd size; {instead}")


def whole_length(response: HTTPResponse) -> int | None:
    """The size of the whole file in bytes, also if the answer is only the rest of it."""
    if response.status == 206:
        stated = response.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isdecimal() else None


def first_byte(response: HTTPResponse) -> int | None:
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(start[1]) if start else None


def validator(response: HTTPResponse) -> str | None:
    """The version of a file for If-Range (RFC 9110, section 13.1.5): a strong ETag or a date."""
    etag = response.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")
