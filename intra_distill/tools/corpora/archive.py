"""Chosen members of a .tgz archive that nobody vouches for, unpacked."""

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ...errors import UserError

MAX_MEMBERS = 100_000
MAX_MEMBER_BYTES = 2**30
MAX_ARCHIVE_BYTES = 2**34  # unpacked, with the members that nobody wants
MAX_READ_BYTES = 2**24  # at once: tarfile reads a header's extension whole, however long it says
CHUNK = 2**20


def unpack(archive: Path, wanted: Collection[str], folder: Path) -> set[str]:
    """Unpack the members ``wanted``, as far as the archive has them, and return their names.

    ``folder`` must not exist; a member becomes the file of its last name in it. The archive is
    read once, as a stream, up to its end and checksum, and the folder has its name only when all
    is well.

    Raises:
        UserError: the file is no .tgz, or damaged, or truncated; a member lies outside the
            archive's folder; a wanted one comes twice or is a link or a device; one is larger than
            ``MAX_MEMBER_BYTES``, all are than ``MAX_ARCHIVE_BYTES``, or they are more than
            ``MAX_MEMBERS``; or the disk is full. Nothing is left behind.
    """
    scratch = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        found = unpack_members(archive, wanted, scratch)
    except BaseException:
        shutil.rmtree(scratch)
        raise
    os.replace(scratch, folder)
    return found


def is_web_page(start: bytes) -> bool:
    """Whether a file begins as HTML: what servers send for an archive that they do not have."""
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))


def unpack_members(archive: Path, wanted: Collection[str], folder: Path) -> set[str]:
    """Unpack into ``folder`` as it stands, whatever happens on the way."""
    check_start(archive)
    on_the_way = {str(parent) for name in wanted for parent in PurePosixPath(name).parents}
    found: set[str] = set()
    count = size = 0
    with faults(archive), Stream(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            tar.members = []  # it would remember them all
            path = PurePosixPath(member.name)
            name = str(path)
            if path.is_absolute() or ".." in path.parts:
                raise UserError(f"{archive} has a member outside its folder, {name}: refused")
            count += 1
            size += member.size
            if (
                not 0 <= member.size <= MAX_MEMBER_BYTES
                or size > MAX_ARCHIVE_BYTES
                or count > MAX_MEMBERS
            ):
                raise UserError(f"{archive} has an absurd size, met at its member {name}: refused")
            if not (name in wanted or name in on_the_way) or member.isdir():
                continue
            if name in on_the_way or not member.isreg():
                raise UserError(f"{archive} has a link or the like for {name}: refused")
            if name in found:
                raise UserError(f"{archive} has {name} twice: refused")
            found.add(name)
            with tar.extractfile(member) as content, open(folder / path.name, "xb") as file:
                shutil.copyfileobj(content, file, CHUNK)
        # The end that tarfile sees may be a damaged header; gzip's own comes with a checksum.
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > MAX_ARCHIVE_BYTES:
                raise UserError(f"{archive} has an absurd size, met behind its end: refused")
    return found


def check_start(archive: Path) -> None:
    """Raise UserError if the file cannot be read or does not begin as a .gz file does."""
    try:
        with open(archive, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise UserError(f"cannot read {archive}: {error.strerror}") from error
    if is_web_page(start):
        raise UserError(f"{archive} is a web page, not an archive: fetch it again, with a browser")
    if not start.startswith(b"\x1f\x8b"):
        raise UserError(f"{archive} is not a .tgz archive")


class Stream(gzip.GzipFile):
    """A .gz file that refuses reads of absurd size."""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_READ_BYTES:
            raise UserError(f"{self.name} has a header of absurd size: refused")
        return super().read(size)


@contextmanager
def faults(archive: Path) -> Iterator[None]:
    """Say of what goes wrong inside that it is the archive's fault, or the disk's."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise UserError(f"{archive} is damaged or truncated: {error}") from error
    except OSError as error:
        raise UserError(f"cannot unpack {archive}: {error.strerror}") from error
