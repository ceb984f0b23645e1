"""The checkpoints that an analysis compares, and their names."""

import argparse
import re
from pathlib import Path

from ...errors import UserError


def add_system_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of commands that take several checkpoints."""
    parser.add_argument(
        "--path", required=True, nargs="+", type=Path, metavar="CHECKPOINT", help="checkpoints"
    )
    parser.add_argument(
        "--names",
        metavar="SYSTEM,…",
        help="names of the systems, one for each checkpoint (default: the checkpoint's folder, or "
        "the folder above if that is seedN)",
    )


def name_systems(paths: list[Path], names: str | None) -> dict[str, Path]:
    """Map the names of systems to their checkpoints.

    Raises:
        UserError: there are too few or too many names, two are equal, or one is not a file name
    """
    given = [system_name(path) for path in paths] if names is None else names.split(",")
    if len(given) != len(paths):
        raise UserError(f"--names has {len(given)} names for {len(paths)} checkpoints")
    systems: dict[str, Path] = {}
    for name, path in zip(given, paths, strict=True):
        if name in ("", "..") or Path(name).name != name:
            raise UserError(f"{path} cannot be called {name!r}, which is no file name: see --names")
        if name in systems:
            raise UserError(
                f"{systems[name]} and {path} are both called {name}: tell them apart by --names"
            )
        systems[name] = path
    return systems


def system_name(checkpoint: Path) -> str:
    """The name of a checkpoint's folder, or of the folder above if that is ``seedN``."""
    folder = checkpoint.absolute().parent
    return folder.parent.name if re.fullmatch(r"seed\d+", folder.name) else folder.name
