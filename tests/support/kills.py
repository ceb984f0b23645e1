"""Kills between two files: a command dies as it gives a file its name."""

import os
from pathlib import Path

import pytest


class Killed(BaseException):
    """The run ends here; nothing catches it."""


def kill_before_rename(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """End the next run just before the file ``name`` gets its name."""
    rename = os.replace

    def rename_or_die(source: Path, target: Path) -> None:
        if target.name == name:
            raise Killed
        rename(source, target)

    monkeypatch.setattr(os, "replace", rename_or_die)
