"""Training curves, read from the logs of fairseq-train."""

import json
import math
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...files import find_files

LOG = "train.log"
STATISTIC = re.compile(r"([A-Za-z_]\w*)[ =]([^\s,|]+)")


@dataclass(frozen=True)
class Log:
    """A log of fairseq-train."""

    path: Path
    system: str
    lines: list[str]


@dataclass(frozen=True)
class Curve:
    """A statistic of one run over its training."""

    system: str
    points: dict[int, float]  # by update


def read_logs(paths: Iterable[Path]) -> list[Log]:
    """Read logs of fairseq-train, given as files or as folders to search.

    A system is named after the folder of its log, or the one above ``seedN``. The folders above
    that are part of the name if the logs differ in them.

    Raises:
        UserError: a log cannot be read, or a folder has none
    """
    files = find_files(paths, LOG, "save the output of fairseq-train there")
    names = {file: named_after(file) for file in (file.absolute() for file in files)}
    root = os.path.commonpath([name.parent for name in names.values()])
    return [Log(file, str(name.relative_to(root)), read_log(file)) for file, name in names.items()]


def named_after(log: Path) -> Path:
    if log.name != LOG:
        return log.with_suffix("")
    return log.parent.parent if re.fullmatch(r"seed\d+", log.parent.name) else log.parent


def read_log(path: Path) -> list[str]:
    """Read the lines of a log, except an unfinished last one: its last number may be cut."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def curves_of(logs: list[Log], tag: str, key: str, remedy: str) -> list[Curve]:
    """Extract a statistic from each log; a log without it is named on standard error.

    Args:
        tag: of the log's lines: a validation subset, or train_inner
        key: fairseq's name of the statistic
        remedy: what the user can do if no log has it
    Raises:
        UserError: no log has it
    """
    points = {log.path: points_of(log.lines, tag, key) for log in logs}
    if not any(points.values()):
        raise UserError(f"no log has {key} in its lines of {tag}: {remedy}")
    for path in points:
        if not points[path]:
            print(f"left out: {path} has no {key} in its lines of {tag}", file=sys.stderr)
    return [Curve(log.system, points[log.path]) for log in logs if points[log.path]]


def points_of(lines: Iterable[str], tag: str, key: str) -> dict[int, float]:
    """Extract a statistic by update; a resumed run replaces the points from its first one on."""
    points: dict[int, float] = {}
    for line in lines:
        _, _, line_tag, message = ([*line.split(" | ", 3), "", "", ""])[:4]
        if line_tag != tag:
            continue
        statistics = statistics_of(message, tag)
        update, value = number(statistics.get("num_updates")), number(statistics.get(key))
        if update is None or value is None:
            continue
        while points and next(reversed(points)) >= update:
            points.popitem()
        points[int(update)] = value
    return points


def statistics_of(message: str, tag: str) -> dict[str, Any]:
    """Parse the statistics of a line in one of fairseq's formats: text (simple, tqdm) or json."""
    if not message.startswith("{"):
        return dict(STATISTIC.findall(message))
    try:
        return {key.removeprefix(f"{tag}_"): value for key, value in json.loads(message).items()}
    except ValueError:  # the line was cut when the run was killed
        return {}


def number(text: str | None) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
