"""Markdown tables, and the format of the names and numbers in them."""

import html
from collections.abc import Iterable, Sequence

MISSING = "—"


def table_text(rows: Iterable[Sequence[str]]) -> str:
    """Format rows, the header first, as a Markdown table with right-aligned numbers."""
    header, *body = rows
    alignment = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, alignment, *body))


def difference(ours: float, theirs: float, digits: int) -> str:
    """Format the difference of the rounded scores, so that the table adds up."""
    return f" ({round(ours, digits) - round(theirs, digits):+.{digits}f})"


def decimals(value: float | None, digits: int = 2) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def millions(parameters: int) -> str:
    return f"{parameters / 1e6:.2f}M" if parameters >= 1e6 else str(parameters)


def duration(seconds: float | None) -> str:
    """Format a duration as ``m:ss``, or from one hour on as ``h:mm:ss``."""
    if seconds is None:
        return MISSING
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def escape(name: str) -> str:
    """Escape a name that Markdown would read as HTML or as the end of a cell."""
    return html.escape(name, quote=False).replace("|", r"\|")
