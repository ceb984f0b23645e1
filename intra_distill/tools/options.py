"""What the options of several commands are checked for."""

import math
from pathlib import Path

from ..errors import UserError


def user_dir() -> Path:
    """The folder of this package."""
    return Path(__file__).parents[1]


MAX_TOKENS = 2**31 - 1  # in a batch: fairseq counts in 64 bits, also several batches


def as_argument(path: Path) -> str:
    """A path that no parser takes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def check_number(option: str, value: float, least: float, most: float = math.inf) -> None:
    """Raise UserError unless a number, which nan is not, is in a range."""
    if not value >= least:
        raise UserError(f"{option} must be at least {least}, not {value}")
    if value > most:
        raise UserError(f"{option} must be at most {most}, not {value}")


def check_output(option: str, path: Path) -> None:
    """Raise UserError for a file without a folder, and where a folder has its name."""
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UserError(f"{option} {path}: there is a folder of that name: choose another")


def make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--results-path {path}: {error.strerror}") from error
