"""Text and JSON files, and files written atomically: whole, or not there."""

import fcntl
import glob
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from .errors import UserError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write, which replaces ``path`` when the block ends without error.

    Raises:
        UserError: the file cannot be written, as on a full disk
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # torch reports only that its file is too short; the error before it has the reason
        cause = error if isinstance(error, OSError) else error.__context__
        reason = cause.strerror if isinstance(cause, OSError) else str(error).splitlines()[0]
        raise UserError(f"cannot write {path}: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_lines(path: str | Path, name: str | None = None) -> Iterator[str]:
    r"""Yield the lines of a UTF-8 text file, without the ``\n`` or ``\r\n`` that ends them.

    Nothing else ends a line: not a lone ``\r``, not U+0085 or U+2028.

    Args:
        name: of the file in the errors of its lines, if its path says too little

    Raises:
        UserError: the file cannot be read, or a line, which is named, is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            yield from decode_lines(file, name or path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def decode_lines(file: Iterable[bytes], name: str | Path) -> Iterator[str]:
    """Yield the lines of an open file or a pipe as :func:`read_lines` does, each as it comes.

    Raises:
        UserError: a line, which is named, is not UTF-8.
    """
    for number, line in enumerate(file, start=1):
        try:
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{name}, line {number}: not UTF-8 ({error.reason})") from error


def check_plain(lines: Iterable[str], name: str | Path) -> Iterator[str]:
    """Yield these lines up to one with a byte order mark at its start, or a NUL.

    A line after the first with nothing but a byte order mark passes: it counts as empty.

    Raises:
        UserError: such a line, which is named.
    """
    for number, line in enumerate(lines, start=1):
        if plain(line) != line and not (number > 1 and line.strip() == "\ufeff"):
            raise UserError(
                f"{name}, line {number}: a byte order mark or NUL, which is not text: "
                "convert the text to plain UTF-8"
            )
        yield line


def plain(line: str) -> str:
    """Strip a line of NUL and of a byte order mark at its start."""
    return line.replace("\0", "").lstrip("\ufeff")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file atomically.

    Raises:
        UserError: it cannot be written, as on a full disk
    """
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        file.writelines(line.encode("utf-8") + b"\n" for line in lines)


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    write_lines(path, [json.dumps(content, indent=2, ensure_ascii=False)])


def find_files(
    paths: Iterable[Path], names: Sequence[str], remedy: str, one_of_a_folder: bool = False
) -> list[Path]:
    """Find the files of some names below folders; a path to a file stands for that file.

    Args:
        paths: files, or folders to search
        names: of the files to find; ``*`` in them stands for any characters
        remedy: what the user can do if a folder has none
        one_of_a_folder: in a folder with several of the names, find the first one alone
    Returns:
        each file once, by the first path that leads to it
    Raises:
        UserError: a folder has none
    """
    files: dict[str, Path] = {}  # by real path
    for path in paths:
        found = search(path, names, one_of_a_folder) if path.is_dir() else [path]
        if not found:
            raise UserError(f"{path} holds no {' or '.join(names)}: {remedy}")
        for file in found:
            files.setdefault(os.path.realpath(file), file)
    return list(files.values())


def search(root: Path, names: Sequence[str], one_of_a_folder: bool) -> list[Path]:
    patterns = ("*".join(map(glob.escape, re.split(r"\*+", name))) for name in names)
    found = [file for pattern in patterns for file in root.rglob(pattern)]
    if one_of_a_folder:
        found = {file.parent: file for file in reversed(found)}.values()
    return sorted(found)


def wait_for_lock(file: TextIO | int) -> str | None:
    """Wait until no other process holds the lock of an open file, and hold it until it is closed.

    Returns:
        why there is no lock, as on some network file systems, or None
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        return error.strerror
    return None


def sha256(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
