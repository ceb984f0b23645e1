"""Where the files of a task are: fetched, in a folder, or in an archive."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ....errors import UserError
from ....files import sha256
from ..download import Remote, is_url
from ..sources import fetch_from, locate
from ..zip_archive import open_member
from .tasks import GlueTask


@dataclass(frozen=True)
class TextFile:
    """A file, or a member of a .zip archive."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}, {self.member}"

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it to read bytes; UserError if that fails."""
        if self.member is not None:
            with open_member(self.path, self.member) as stream:
                yield stream
            return
        with readable(self.path), open(self.path, "rb") as file:
            yield file


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn an error of the disk into a UserError that names what cannot be read."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot read {error.filename or path}: {error.strerror}") from error


def describe_inputs(task: GlueTask, source: str | None) -> dict[str, dict[str, str]]:
    """The place and the SHA-256 of each file or archive that a task is read from, by name.

    Nothing is fetched for it.

    Raises:
        UserError: as :func:`find_local_files`, or a file cannot be read.
    """
    if source is None or is_url(source):
        remotes = [locate(source, remote) for remote in remotes_of(task)]
        return {each.name: {"file": each.url, "sha256": each.sha256} for each in remotes}
    paths = {
        name if file.member is None else task.archive.name: file.path
        for name, file in find_local_files(task, Path(source)).items()
    }
    with readable(Path(source)):
        return {name: {"file": str(path), "sha256": sha256(path)} for name, path in paths.items()}


def find_files(task: GlueTask, source: str | None, downloads: Path) -> dict[str, TextFile]:
    """Find the files of a task, by name.

    Args:
        source: a folder or an archive; a URL below which the archives are; None for GLUE's own.
        downloads: the folder to which they are fetched, unless they are there.

    Raises:
        UserError: a file is not there or cannot be fetched.
    """
    if source is not None and not is_url(source):
        return find_local_files(task, Path(source))
    paths = [fetch_from(source, remote, downloads) for remote in remotes_of(task)]
    files = {path.name: TextFile(path) for path in paths if path.name in task.single}
    if task.archive is not None:
        archive = downloads / task.archive.name
        files |= {name: member_of(task, archive, name) for name in task.archived}
    return files


def remotes_of(task: GlueTask) -> list[Remote]:
    """What is to be fetched for a task, at GLUE's own addresses."""
    return [*([task.archive] if task.archive else []), *task.single_files]


def find_local_files(task: GlueTask, source: Path) -> dict[str, TextFile]:
    """Find the files of a task in a folder, or in an archive and beside it.

    Raises:
        UserError: one is not there.
    """
    if source.is_dir():
        return {
            **{name: find_in_folder(task, source, name) for name in task.archived},
            **{name: find_single_file(task, source, name) for name in task.single},
        }
    if not source.is_file():
        raise UserError(f"--source {source}: No such file or folder")
    if task.archive is None:
        raise UserError(f"--source {source}: give the folder that holds {', '.join(task.single)}")
    return {
        **{name: member_of(task, source, name) for name in task.archived},
        **{name: find_single_file(task, source.parent, name) for name in task.single},
    }


def member_of(task: GlueTask, archive: Path, name: str) -> TextFile:
    return TextFile(archive, f"{task.folder}/{name}")


def find_in_folder(task: GlueTask, folder: Path, name: str) -> TextFile:
    """Find a file that GLUE has in an archive: unpacked, or in the archive."""
    if found := find_unpacked(task, folder, name):
        return found
    archive = folder / task.archive.name
    if archive.exists():
        return member_of(task, archive, name)
    raise UserError(
        f"--source {folder} holds neither {task.folder}/{name} nor {name} nor {archive.name}, "
        f"which is at {task.archive.url}"
    )


def find_single_file(task: GlueTask, folder: Path, name: str) -> TextFile:
    if found := find_unpacked(task, folder, name):
        return found
    raise UserError(
        f"{folder} holds neither {task.folder}/{name} nor {name}, which is at "
        f"{task.single[name].url}"
    )


def find_unpacked(task: GlueTask, folder: Path, name: str) -> TextFile | None:
    paths = (folder / task.folder / name, folder / name)
    return next((TextFile(path) for path in paths if path.exists()), None)
