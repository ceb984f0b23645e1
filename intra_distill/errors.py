"""How the plugin says no: one line, no traceback, before any work is lost."""

from typing import NoReturn


class UserError(Exception):
    """Bad input: one line that names what is wrong and what to do about it.

    It may quote a stranger's file or server, whose control characters a terminal would obey.
    """

    def __init__(self, line: str) -> None:
        super().__init__(one_line(line))


def one_line(text: str) -> str:
    """A text without line ends, and with its other control characters spelt out."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def refuse(reason: str) -> NoReturn:
    """End a fairseq command with such a line."""
    raise SystemExit(f"intra_distill: {reason}")
