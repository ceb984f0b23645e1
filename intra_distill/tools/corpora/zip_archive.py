"""Reads members of a .zip archive that nobody vouches for, without unpacking it."""

import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from ...errors import UserError
from .archive import MAX_MEMBERS, check_start
from .download import disk_errors

MAX_MEMBER_BYTES = 2**28  # unpacked: a line is held in memory, and may be all of a member
ENCRYPTED = 1  # bit of a member's flags
DAMAGED = (
    EOFError,
    NotImplementedError,  # an unknown method of compression
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def open_member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a member of an archive to read it as a stream; its checksum is checked at the end.

    Raises:
        UserError: the file is not a .zip, is damaged or is truncated; a member is outside the
            archive's folder; the wanted one is missing, comes twice, is a link or a device, needs a
            password or is larger than ``MAX_MEMBER_BYTES``; there are more than ``MAX_MEMBERS``; or
            the file cannot be read.
    """
    with open_archive(archive) as content:
        member = find_member(archive, content.infolist(), name)
        with content.open(member) as stream:
            yield stream


def member_names(archive: Path) -> set[str]:
    """The names of an archive's members.

    Raises:
        UserError: as :func:`open_member`, but for what is wrong with the wanted member.
    """
    with open_archive(archive) as content:
        return set(content.namelist())


def copy_member(archive: Path, name: str, path: Path) -> None:
    """Write a member of an archive to a file.

    Raises:
        UserError: as :func:`open_member`, or the file cannot be written.
    """
    with open_member(archive, name) as stream, disk_errors(path), open(path, "wb") as file:
        shutil.copyfileobj(stream, file)


@contextmanager
def open_archive(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive, and check where its members are."""
    check_start(archive, ".zip", b"PK")
    try:
        with zipfile.ZipFile(archive) as content:
            check_members(archive, content.infolist())
            yield content
    except DAMAGED as error:
        raise UserError(f"{archive} is damaged or truncated: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {archive}: {error.strerror or error}") from error


def check_members(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Raise UserError for too many members, or one outside the archive's folder."""
    if len(members) > MAX_MEMBERS:
        raise UserError(f"{archive} has an absurd number of members, {len(members)}: refused")
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts:
            raise UserError(f"{archive} has a member outside its folder, {path}: refused")


def find_member(archive: Path, members: list[zipfile.ZipInfo], name: str) -> zipfile.ZipInfo:
    """Find the member of a name, and check what the archive says of it."""
    found = [member for member in members if member.filename == name]
    if not found:
        raise UserError(f"{archive} does not hold {name}")
    if len(found) > 1:
        raise UserError(f"{archive} has {name} twice: refused")
    member = found[0]
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise UserError(f"{archive} has a link or device at {name}: refused")
    if member.flag_bits & ENCRYPTED:
        raise UserError(f"{archive} needs a password for {name}: unpack it")
    if member.file_size > MAX_MEMBER_BYTES:
        raise UserError(f"{archive} has an absurd size at its member {name}: refused")
    return member
