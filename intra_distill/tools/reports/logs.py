"""Training curves, read from the logs of fairseq-train and fairseq-hydra-train."""

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ...files import find_files
from .messages import TRAINING, Statistics, read_statistics

# What is searched for in folders: where the recipes keep what fairseq-train prints, and the file
# that hydra writes. A folder with both has the same run twice: the first one counts.
LOGS = ("train.log", "hydra_train.log")
# fairseq logs its configuration before anything else
CONFIGURATION = "{'_name': None, 'common': {"


@dataclass(frozen=True)
class Log:
    """A log of a training.

    Attributes:
        path: the file
        system: the name of what was trained
        is_fairseqs: whether fairseq wrote it, at least in part
        statistics: in the order of the file
    """

    path: Path
    system: str
    is_fairseqs: bool
    statistics: list[Statistics]


def read_logs(paths: Iterable[Path]) -> list[Log]:
    """Read logs of trainings, given as files or as folders to search for :data:`LOGS`.

    A system is named after the folder of its log, or the one above ``seedN``. The folders above
    that are part of the name if the logs differ in them.

    Raises:
        UserError: a log cannot be read, or a folder has none
    """
    remedy = "give a log of another name as a file"
    files = find_files(paths, LOGS, remedy, one_of_a_folder=True)
    names = {file: named_after(file) for file in (file.absolute() for file in files)}
    root = os.path.commonpath([name.parent for name in names.values()])
    return [read_log(file, str(name.relative_to(root))) for file, name in names.items()]


def named_after(log: Path) -> Path:
    if log.name not in LOGS:
        return log.with_suffix("")
    return log.parent.parent if re.fullmatch(r"seed\d+", log.parent.name) else log.parent


def read_log(path: Path, system: str) -> Log:
    """Read a log, except an unfinished last line: its last number may be cut."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    statistics = [each for each in map(read_statistics, lines) if each]
    is_fairseqs = bool(statistics) or any(CONFIGURATION in line for line in lines)
    return Log(path, system, is_fairseqs, statistics)


def points_of(statistics: Iterable[Statistics], of: str, name: str) -> dict[int, float]:
    """Extract a statistic by update; a resumed run replaces the points from its first one on.

    Args:
        statistics: of a log
        of: a validation subset, or :data:`TRAINING`
        name: fairseq's name of the statistic
    """
    points: dict[int, float] = {}
    for each in statistics:
        value = each.number(name)
        if each.of != of or value is None:
            continue
        while points and next(reversed(points)) >= each.update:
            points.popitem()
        points[each.update] = value
    return points


def choose_logs(logs: list[Log], of: str, name: str, remedy: str) -> list[Log]:
    """Choose the logs that have a statistic; each of the others is named on standard error.

    Args:
        logs: at least one
        of: a validation subset, or :data:`TRAINING`
        name: fairseq's name of the statistic
        remedy: what the user can do if logs have other statistics of that subset alone
    Raises:
        UserError: no log has it
    """
    without = {log.path: why_without(log, of, name, remedy) for log in logs}
    chosen = [log for log in logs if not without[log.path]]
    if not chosen:
        paths: dict[str, list[Path]] = {}
        for path, reason in without.items():
            paths.setdefault(reason, []).append(path)
        raise UserError("; ".join(f"{count(paths[reason])}: {reason}" for reason in paths))
    for path, reason in without.items():
        if reason:
            print(f"left out: {path}: {reason}", file=sys.stderr)
    return chosen


def why_without(log: Log, of: str, name: str, remedy: str) -> str:
    """Say why a log gives no points of a statistic; empty if it does."""
    subsets = dict.fromkeys(each.of for each in log.statistics if each.of != TRAINING)
    if points_of(log.statistics, of, name):
        return ""
    if not log.is_fairseqs:
        return "this is no log of fairseq-train or fairseq-hydra-train"
    if any(each.of == of for each in log.statistics):
        return f"no number for {name} in the lines of {of}: {remedy}"
    if of == TRAINING:
        return (
            "no statistics of training in it: they need --log-interval updates, and a --log-format "
            "simple or json"
        )
    if subsets:
        return f"no validation on {of}, but on {', '.join(subsets)}: choose by --valid-subset"
    return "no validation in it: let the run validate, and without --log-format none"


def count(paths: list[Path]) -> str:
    others = len(paths) - 1
    return f"{paths[0]} and {others} more" if others else str(paths[0])
