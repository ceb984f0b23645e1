"""Markdown tables, and how names and numbers stand in them."""

import html
from collections.abc import Iterable, Sequence

MISSING = "—"


def table_text(rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of a header and rows, numbers to the right."""
    header, *body = rows
    alignment = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, alignment, *body))


def difference(ours: float, theirs: float, digits: int) -> str:
    """Of the rounded scores, so that the table adds up."""
    return f" ({round(ours, digits) - round(theirs, digits):+.{digits}f})"


def decimals(value: float | None, digits: int = 2) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def millions(parameters: int) -> str:
    return f"{parameters / 1e6:.2f}M" if parameters >= 1e6 else str(parameters)


def duration(seconds: float) -> str:
    """``m:ss``, from an hour on ``h:mm:ss``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def escape(name: str) -> str:
    """A name as Markdown shows it, also one that would be HTML or end its cell."""
    return html.escape(name, quote=False).replace("|", r"\|")
