"""How the plugin says no: one line, no traceback, before any work is lost."""

from typing import NoReturn


class UserError(Exception):
    """Bad input: one line that names what is wrong and what to do about it."""


def refuse(reason: str) -> NoReturn:
    """End a fairseq command with such a line."""
    raise SystemExit(f"intra_distill: {reason}")
