"""What a log ends with, for the line that says what failed."""

from pathlib import Path


def last_line(log: Path) -> str | None:
    """The last line of a log; None where it is missing or empty."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return None
    return lines[-1] if lines else None
