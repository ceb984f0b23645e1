"""What the options of several commands share: their checks, and how fairseq gets them."""

import argparse
import math
from pathlib import Path

from ..errors import UserError

MAX_TOKENS = 2**31 - 1  # in a batch: fairseq adds up several batches in 64 bits


def user_dir() -> Path:
    """The folder of this package, for fairseq's ``--user-dir``."""
    return Path(__file__).parents[1]


def add_data_argument(
    parser: argparse.ArgumentParser, metavar: str = "DIR", made_by: str = "intra-distill prepare"
) -> None:
    """Declare the data directory that a command works on."""
    parser.add_argument(
        "data", type=Path, metavar=metavar, help=f"data directory made by {made_by}"
    )


def names(text: str) -> list[str]:
    """Parse names that are separated by commas, as an option's ``type``."""
    given = [name for name in text.split(",") if name]
    if not given:
        raise argparse.ArgumentTypeError("names nothing: leave the option out for all")
    return given


def as_argument(path: Path) -> str:
    """Format a path as an argument that no parser mistakes for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def check_number(option: str, value: float, least: float, most: float = math.inf) -> None:
    """Raise UserError unless a number is in a range; NaN is in none."""
    if not value >= least:
        raise UserError(f"{option} must be at least {least}, not {value}")
    if value > most:
        raise UserError(f"{option} must be at most {most}, not {value}")


def check_data_directory(path: Path) -> None:
    """Raise UserError for a --destdir that no option of fairseq can name."""
    if {",", ":"} & set(str(path)):
        raise UserError(
            f"--destdir {path} has a ',' or ':', where hydra or fairseq would split it: choose "
            "another name"
        )


def check_output(option: str, path: Path) -> None:
    """Raise UserError if a file's folder does not exist, or a folder has the file's name."""
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UserError(f"{option} {path}: there is a folder of that name: choose another")


def make_directory(path: Path) -> None:
    """Make the folder of ``--results-path``; UserError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--results-path {path}: {error.strerror}") from error
