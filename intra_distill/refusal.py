"""How the plugin says no: one line, no traceback, before any training is lost."""

from typing import NoReturn


def refuse(reason: str) -> NoReturn:
    """End the command with one line that says what is wrong and what to do about it."""
    raise SystemExit(f"intra_distill: {reason}")
