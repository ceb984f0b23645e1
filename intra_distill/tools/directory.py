"""A directory that a command makes: it is whole, or the next run of the command completes it.

::

    DIR/FILE...                  what the command makes, moved here when it is whole
    DIR/REPORT                   a JSON file, written last: it marks a finished directory
    DIR/.partial/request.json    what an unfinished directory is made from
    DIR/.partial/FILE...         whole files that only later steps read
    DIR/.partial/scratch/        the files of the step that is being taken
"""

import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json, write_json

WORK, REQUEST, SCRATCH = ".partial", "request.json", "scratch"
Content = dict[str, Any]  # of a JSON file
# what a JSON file of another content, or none, raises when it is read as a report
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Directory:
    """The directory that a command makes in several steps, such as its ``--destdir``.

    A run that is killed leaves whole files only. The next run with the same request resumes after
    the last finished step; a run with another request is refused.

    Attributes:
        path: the directory.
        report: the name of the JSON file that marks it as finished.
        request: all that the files depend on, as JSON.
        find_difference: compares an earlier request with this one. It returns the first difference
            that changes the files, in words such as ``--vocab-size 80, not 70``, or None. It may
            get a report for the earlier request: a report includes its request.
        beside: the names of other files and folders that may be in the directory.
        option: what names the directory on the command line.
    """

    path: Path
    report: str
    request: Content
    find_difference: Callable[[Content, Content], str | None]
    beside: Collection[str] = ()
    option: str = "--destdir"

    @property
    def work(self) -> Path:
        """The folder of the request and of files that only later steps read."""
        return self.path / WORK

    def make(self, take_steps: Callable[["Directory"], Content]) -> bool:
        """Make the directory, or complete it, unless it is finished.

        Args:
            take_steps: makes the files by :meth:`make_files`. It returns what the report says in
                addition to the request.

        Returns:
            Whether there was anything to do.

        Raises:
            UserError: the directory was made from another request, holds other files or cannot be
                written to, or ``take_steps`` raised the error. A later run can correct the request
                unless a finished step has put files into the directory. After an error of the disk
                all finished steps are kept.
        """
        if self.is_finished():
            shutil.rmtree(self.work, ignore_errors=True)  # a run was killed as it removed the rest
            return False
        try:
            self._begin()
            content = take_steps(self)
            write_json(self.path / self.report, {**self.request, **content})
            shutil.rmtree(self.work)
        except OSError as error:
            self._discard(from_disk=True)
            raise UserError(
                f"cannot write to {self.option} {self.path}: {error.strerror}"
            ) from error
        except UserError as error:
            self._discard(from_disk=isinstance(error.__cause__, OSError))
            raise
        return True

    def is_finished(self) -> bool:
        """Whether the request is done; if not, the directory is free or holds a part of it.

        Raises:
            UserError: the path is not a directory, or it was made from another request, holds
                other files or says nothing that can be read of its request.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"{self.option} {self.path} is not a directory: choose another")
        for state in (self.path / self.report, self.work / REQUEST):
            if state.exists():
                if difference := self._find_difference(state):
                    raise UserError(
                        f"{self.path} was made with {difference}: choose another {self.option} "
                        "or delete this one"
                    )
                return state.name == self.report
        if self.path.exists() and self._files():
            raise UserError(f"{self.path} holds other files: choose another {self.option}")
        return False

    def make_files(
        self, folder: Path, names: Collection[str], write: Callable[[Path], object]
    ) -> None:
        """Take a step: have ``write`` make the files ``names``, unless all are in ``folder``.

        ``write`` gets an empty scratch folder, from which the files are moved when all are whole.
        Whatever else it leaves there is removed.
        """
        if all((folder / name).exists() for name in names):
            return
        scratch = self.work / SCRATCH
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        write(scratch)
        for name in names:
            os.replace(scratch / name, folder / name)
        shutil.rmtree(scratch)

    def _find_difference(self, state: Path) -> str | None:
        try:
            return self.find_difference(read_json(state), self.request)
        except MALFORMED as error:
            raise UserError(
                f"{state} is damaged or another program's: choose another {self.option} or "
                "delete this one"
            ) from error

    def _begin(self) -> None:
        if not (self.work / REQUEST).exists():
            shutil.rmtree(self.work, ignore_errors=True)  # nobody knows what it was made from
        self.work.mkdir(parents=True, exist_ok=True)
        write_json(self.work / REQUEST, self.request)

    def _discard(self, from_disk: bool) -> None:
        """Remove what no later run can use, and what would refuse a corrected request."""
        if not self.work.is_dir():
            return
        shutil.rmtree(self.work / SCRATCH, ignore_errors=True)
        finished_steps = any(path.name != REQUEST for path in self.work.iterdir())
        if self._files() or (finished_steps and from_disk):
            return
        shutil.rmtree(self.work, ignore_errors=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def _files(self) -> set[str]:
        return {path.name for path in self.path.iterdir()} - {WORK, *self.beside}


def read_finished(
    path: Path, report: str, command: str, again: str, read: Callable[[Content], Any]
) -> Any:
    """Read the report of a finished directory.

    Args:
        path: the directory
        report: the name of its report
        command: what makes such directories
        again: what the user does about a damaged report, such as "prepare again"
        read: makes of the report's content what is returned; it may fail as :data:`MALFORMED` says
    Raises:
        UserError: ``command`` has not made the directory, or has not finished it, or the report is
            damaged.
    """
    try:
        return read(read_json(path / report))
    except (FileNotFoundError, NotADirectoryError) as error:
        if (path / WORK / REQUEST).exists():
            raise UserError(f"{path} is unfinished: run the same preparation again") from error
        raise UserError(f"{path} has no {report}: make it by {command}") from error
    except MALFORMED as error:
        raise UserError(f"{path / report} is not what {command} wrote: {again}") from error


def outcome(path: Path, made: bool) -> str:
    """Return the last line that a command prints, by what :meth:`Directory.make` returned."""
    return f"{path} is finished" if made else f"{path} was finished before: nothing to do"
