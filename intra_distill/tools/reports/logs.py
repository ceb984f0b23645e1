"""What fairseq-train logged: the curves of a run."""

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

LOG = "train.log"
STATISTIC = re.compile(r"([A-Za-z_]\w*)[ =]([^\s,|]+)")


@dataclass(frozen=True)
class Log:
    """What fairseq-train wrote of a run."""

    path: Path
    system: str
    lines: list[str]


@dataclass(frozen=True)
class Curve:
    """A statistic of a run over training."""

    system: str
    points: dict[int, float]  # by update


# Logs


def read_logs(paths: Iterable[Path]) -> list[Log]:
    """Read logs of fairseq-train and those that folders hold.

    A system has the name of its folder, the one above where that is of a seed, and what
    distinguishes it from the other logs' above that.

    Raises:
        UserError: a log cannot be read, or a folder holds none
    """
    files: dict[str, Path] = {}  # each file once, under the first name it was met by
    for path in paths:
        found = sorted(path.rglob(LOG)) if path.is_dir() else [path]
        if not found:
            raise UserError(f"{path} holds no {LOG}: keep there what fairseq-train writes")
        for file in found:
            files.setdefault(os.path.realpath(file), file.absolute())
    names = {file: named_after(file) for file in files.values()}
    root = os.path.commonpath([name.parent for name in names.values()])
    return [Log(file, str(name.relative_to(root)), read_log(file)) for file, name in names.items()]


def named_after(log: Path) -> Path:
    if log.name != LOG:
        return log.with_suffix("")
    return log.parent.parent if re.fullmatch(r"seed\d+", log.parent.name) else log.parent


def read_log(path: Path) -> list[str]:
    """The lines of a log but for one without an end, whose last number may be half of one."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def curves_of(logs: list[Log], tag: str, key: str, remedy: str) -> list[Curve]:
    """A statistic over training in each log; where some lack it, they are named on standard error.

    Args:
        tag: of the lines: a validation subset, or train_inner
        key: the statistic, as fairseq calls it
        remedy: what to do where no log has it
    """
    points = {log.path: points_of(log.lines, tag, key) for log in logs}
    if not any(points.values()):
        raise UserError(f"no log has {key} in its lines of {tag}: {remedy}")
    for path in points:
        if not points[path]:
            print(f"left out: {path} has no {key} in its lines of {tag}", file=sys.stderr)
    return [Curve(log.system, points[log.path]) for log in logs if points[log.path]]


def points_of(lines: Iterable[str], tag: str, key: str) -> dict[int, float]:
    """A statistic by update; a resumed run begins again where the points are that it replaces."""
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
    """What a line says, in either of fairseq's formats: text (simple, tqdm) or json."""
    if not message.startswith("{"):
        return dict(STATISTIC.findall(message))
    try:
        return {key.removeprefix(f"{tag}_"): value for key, value in json.loads(message).items()}
    except ValueError:  # a line that a kill cut
        return {}


def number(text: str | None) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
