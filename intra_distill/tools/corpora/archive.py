"""Unpacks chosen members of a .tgz archive that nobody vouches for."""

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import UserError
from ...files import sha256

MAX_MEMBERS = 100_000
MAX_MEMBER_BYTES = 2**30
MAX_ARCHIVE_BYTES = 2**34  # unpacked, including unwanted members
MAX_READ_BYTES = (
    2**24
)  # in one read: tarfile reads a header extension whole, whatever size it declares
CHUNK = 2**20


def unpack(
    archive: Path,
    wanted: Collection[str],
    folder: Path,
    max_member_bytes: int | None = None,
) -> set[str]:
    """Unpack those of the members ``wanted`` that the archive has, and return their names.

    The archive is read once, as a stream, up to its end and checksum. ``folder`` must not exist; it
    gets its name when everything has been checked. In it a member has the last part of its path as
    its name.

    Raises:
        UserError: the file is not a .tgz, is damaged or is truncated; a member is outside the
            archive's folder; a wanted member comes twice or is a link or a device; a member is
            larger than ``max_member_bytes`` (default ``MAX_MEMBER_BYTES``), all together are larger
            than ``MAX_ARCHIVE_BYTES``, or there are more than ``MAX_MEMBERS``; or the disk is full.
            Nothing is left behind.
    """
    scratch = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        found = unpack_members(archive, wanted, scratch, max_member_bytes or MAX_MEMBER_BYTES)
    except BaseException:
        shutil.rmtree(scratch)
        raise
    os.replace(scratch, folder)
    return found


def fingerprint(archive: Path) -> dict[str, Any]:
    """The size and the SHA-256 of an archive, for a report."""
    return {"bytes": archive.stat().st_size, "sha256": sha256(archive)}


def is_web_page(start: bytes) -> bool:
    """Whether a file begins as HTML, which servers send instead of a missing archive."""
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))


def unpack_members(
    archive: Path, wanted: Collection[str], folder: Path, max_member_bytes: int
) -> set[str]:
    """Unpack into an existing ``folder``; after an error it may hold some of the members."""
    check_start(archive, ".tgz", b"\x1f\x8b")
    parents = {str(parent) for name in wanted for parent in PurePosixPath(name).parents}
    found: set[str] = set()
    count = size = 0
    with (
        archive_errors(archive),
        BoundedGzipFile(archive) as stream,
        tarfile.open(fileobj=stream, mode="r:") as tar,
    ):
        for member in tar:
            tar.members = []  # it would keep them all in memory
            path = PurePosixPath(member.name)
            name = str(path)
            if path.is_absolute() or ".." in path.parts:
                raise UserError(f"{archive} has a member outside its folder, {name}: refused")
            count += 1
            size += member.size
            if (
                not 0 <= member.size <= max_member_bytes
                or size > MAX_ARCHIVE_BYTES
                or count > MAX_MEMBERS
            ):
                raise UserError(f"{archive} has an absurd size at its member {name}: refused")
            if not (name in wanted or name in parents) or member.isdir():
                continue
            if name in parents or not member.isreg():
                raise UserError(
                    f"{archive} has a link, device or misplaced file at {name}: refused"
                )
            if name in found:
                raise UserError(f"{archive} has {name} twice: refused")
            found.add(name)
            with tar.extractfile(member) as content, open(folder / path.name, "xb") as file:
                shutil.copyfileobj(content, file, CHUNK)
        # tarfile takes a damaged header for the end; the end of gzip's data has a checksum.
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > MAX_ARCHIVE_BYTES:
                raise UserError(f"{archive} has an absurd size after its end: refused")
    return found


def check_start(archive: Path, kind: str, magic: bytes) -> None:
    """Raise UserError if the file cannot be read or does not begin as its kind of archive."""
    try:
        with open(archive, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise UserError(f"cannot read {archive}: {error.strerror}") from error
    if is_web_page(start):
        raise UserError(
            f"{archive} is a web page, not an archive: download it again with a browser"
        )
    if not start.startswith(magic):
        raise UserError(f"{archive} is not a {kind} archive")


class BoundedGzipFile(gzip.GzipFile):
    """A .gz file that refuses reads of absurd size."""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_READ_BYTES:
            raise UserError(f"{self.name} has a header of absurd size: refused")
        return super().read(size)


@contextmanager
def archive_errors(archive: Path) -> Iterator[None]:
    """Turn an error of the archive or of the disk into a UserError that names it."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise UserError(f"{archive} is damaged or truncated: {error}") from error
    except OSError as error:
        raise UserError(f"cannot unpack {archive}: {error.strerror}") from error
