"""The summary of scripts/gpu.sh: what the parts have found, in at most twenty lines.

    python scripts/gpu/summary.py DIR [PART=STATUS…]

STATUS is the exit status of a part that has just run. DIR may have other parts of an earlier run.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from logs import last_line

PARTS = ("right", "loss", "step", "profile", "train")
MOST_LINES = 20
LONGEST_LINE = 200
CUT_OFF = (124, 137)


def read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a part that was ended before it had found anything
        return {}


def ending(status: int, found: dict[str, Any], log: Path) -> list[str]:
    """How a part ended that did not end well, unless its own lines say so."""
    if status in CUT_OFF:
        where = f"; {log.name} says where it was" if log.exists() else " before it began"
        return [f"cut off at the time limit{where}"]
    if status == 0 or found.get("failures"):
        return []
    last = last_line(log)
    return [f"failed with exit status {status}" + (f": {last}" if last else "")]


def lines_of(part: str, status: int | None, folder: Path) -> list[str]:
    """What a part has found, each line with its name."""
    found = read(folder / f"{part}.json")
    lines = list(found.get("summary", []))
    if status is not None:
        lines = [*ending(status, found, folder / f"{part}.log"), *lines]
        return [f"{part}: {line}" for line in lines or ["found nothing"]]
    return [f"{part}, {found['date'][:10]}: {line}" for line in lines]


def shortened(parts: list[list[str]], most: int) -> list[str]:
    """The lines of all parts; where these are too many, those with the most lose their last."""
    while sum(map(len, parts)) > most:
        max(parts, key=len).pop()
    return [line[:LONGEST_LINE] for lines in parts for line in lines]


def head(folder: Path) -> list[str]:
    """The machine that the figures are of."""
    for part in PARTS:
        machine = read(folder / f"{part}.json").get("machine")
        if machine:
            where = machine["gpu"] or machine["processor"]
            return [f"{where}, torch {machine['torch']}; the tables are {folder}/PART.md"]
    return []


def main() -> None:
    folder = Path(sys.argv[1])
    statuses = {part: int(status) for part, _, status in (a.partition("=") for a in sys.argv[2:])}
    parts = [lines_of(part, statuses.get(part), folder) for part in PARTS]
    first = head(folder)
    text = "".join(f"{line}\n" for line in [*first, *shortened(parts, MOST_LINES - len(first))])
    temporary = folder / "summary.txt.tmp"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, folder / "summary.txt")
    print(text, end="")


if __name__ == "__main__":
    main()
