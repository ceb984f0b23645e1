"""What is in folders."""

from pathlib import Path


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder and of the folders in it, by their paths in it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
