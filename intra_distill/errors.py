"""How the plugin refuses bad input: one line, no traceback, before any work is lost."""

from typing import NoReturn


class UserError(Exception):
    """Bad input: one line that names what is wrong and what to do about it.

    The line may quote a file or a server, so control characters, which a terminal would obey, are
    spelt out.
    """

    def __init__(self, line: str) -> None:
        super().__init__(one_line(line))


def one_line(text: str) -> str:
    """Join the lines of a text, and spell out its other control characters."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def refuse(reason: str) -> NoReturn:
    """End a fairseq command with one line."""
    raise SystemExit(f"intra_distill: {reason}")
