"""What ``--source`` names: a folder of published files, or a URL below which they are."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import UserError
from .download import Remote, fetch


def fetch_from(source: str | None, remote: Remote, downloads: Path) -> Path:
    """Fetch a file from its own address, or from below the URL ``source``.

    Raises:
        UserError: as :func:`.download.fetch`.
    """
    remote = locate(source, remote)
    return fetch(remote, downloads, f"put {remote.name} into a folder and give it as --source")


def locate(source: str | None, remote: Remote) -> Remote:
    """A file at its own address, or below the URL ``source``."""
    if source is None:
        return remote
    return replace(remote, url=f"{source.rstrip('/')}/{remote.name}")


def find_in_folder(source: str, names: Sequence[str], remote: Remote) -> Path:
    """Find the first of these files that the folder ``source`` has.

    Raises:
        UserError: it has none, which is at ``remote``, or is no folder.
    """
    if not os.path.isdir(source):  # Path.is_dir raises errors for some names
        raise UserError(f"--source {source}: there is no such folder")
    for name in names:
        if (path := Path(source, name)).is_file():
            return path
    raise UserError(f"--source {source} holds no {' or '.join(names)}, which is at {remote.url}")
