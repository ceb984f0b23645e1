"""Evaluated runs: results that are gathered from folders, and checked to be comparable."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ...files import find_files
from ..scoring.results import Result, read_result, why_other_metrics, why_other_test_set


@dataclass(frozen=True)
class Run:
    """A result and its file."""

    path: Path
    result: Result

    @property
    def system(self) -> str:
        return self.result.system

    @property
    def dataset(self) -> str:
        return self.result.dataset

    @property
    def seed(self) -> int:
        return self.result.checkpoint.seed


def gather(paths: Iterable[Path], subsets: Sequence[str]) -> list[Run]:
    """Read results, given as files or as folders to search.

    Args:
        paths: JSON files of ``intra-distill evaluate``, or folders to search for ``SUBSET.json``
        subsets: the subsets to look for in folders; ``*`` in them stands for any characters
    Raises:
        UserError: a folder has no result, a file is not a result, or a subset is not a name
    """
    names = [f"{subset}.json" for subset in subsets]
    for subset, name in zip(subsets, names, strict=True):
        if Path(name).name != name:
            raise UserError(f"--gen-subset {subset!r} is no name of a subset, such as test")
    files = find_files(
        paths, names, "run intra-distill evaluate first, or choose another --gen-subset"
    )
    return [Run(file, read_result(file)) for file in files]


def refuse_misfits(runs: list[Run], metrics: Mapping[str, Iterable[str]]) -> None:
    """Refuse results that are not comparable, and two results of the same seed.

    All must share task and search; those of a data set, the test set and the signatures; those of a
    system on a data set, the number of parameters.

    Args:
        runs: at least one
        metrics: of each data set, what its results must have
    """
    of_dataset: dict[str, Run] = {}
    of_cell: dict[tuple[str, str], Run] = {}
    of_seed: dict[tuple[str, str, int], Run] = {}
    for run in runs:
        same_dataset = of_dataset.setdefault(run.dataset, run)
        same_cell = of_cell.setdefault((run.system, run.dataset), run)
        same_seed = of_seed.setdefault((run.system, run.dataset, run.seed), run)
        for other, obstacle in (
            (runs[0], why_other_settings(run.result, runs[0].result)),
            (same_dataset, why_other_scores(run.result, same_dataset.result, metrics[run.dataset])),
            (same_cell, why_other_model(run.result, same_cell.result)),
        ):
            if obstacle:
                raise UserError(f"{run.path} cannot be in one table with {other.path}: {obstacle}")
        if same_seed is not run:
            raise UserError(
                f"{run.path} and {same_seed.path} are both {run.system} on {run.dataset} with seed "
                f"{run.seed}: leave one out, or evaluate it under another --name"
            )


def refuse_unknown_metric(runs: list[Run], metric: str) -> None:
    """Raise UserError if no result has a metric."""
    known = dict.fromkeys(name for run in runs for name in run.result.scores)
    if metric not in known:
        raise UserError(f"--metric {metric}: the results have {', '.join(known)}")


def metrics_of_all(runs: list[Run]) -> list[str]:
    """The metrics that every result has, in the order of the first."""
    first, *others = (run.result.scores for run in runs)
    common = [metric for metric in first if all(metric in scores for scores in others)]
    if not common:
        raise UserError("the results have no metric in common: evaluate them again with --metrics")
    return common


def why_other_settings(result: Result, other: Result) -> str:
    """Why two results, also of different data sets, cannot be in one table; empty if they can."""
    if result.task != other.task:
        return f"its task is {result.task}, not {other.task}"
    ours, theirs = result.test_set.subset, other.test_set.subset
    if kind_of_subset(ours) != kind_of_subset(theirs):
        return f"its subset is {ours}, not {theirs}"
    if result.search and other.search:
        for setting in ("beam", "lenpen", "limit_of_length"):
            ours, theirs = getattr(result.search, setting), getattr(other.search, setting)
            if ours != theirs:
                return f"its {setting.replace('_', ' ')} is {ours}, not {theirs}"
    signatures = other.signatures.items()
    return why_other_metrics(
        result, {name: text for name, text in signatures if not other.measure(name).names_data}
    )


def kind_of_subset(subset: str) -> str:
    """The kind of a subset, which valid and valid1 share, and test-ar and test-en."""
    return re.sub(r"(\d+|-.+)$", "", subset)


def why_other_scores(result: Result, other: Result, metrics: Iterable[str]) -> str:
    """Why two results of one data set are not comparable in these metrics; empty if they are."""
    for metric in metrics:
        if metric not in result.scores:
            option = "--score" if metric in other.segment_scores else "--metrics"
            return f"it has no {metric}: evaluate it again with {option}"
        if result.measure(metric) != other.measure(metric):
            return f"its {metric} is better in the other direction"
    return why_other_test_set(result, other.test_set) or why_other_metrics(result, other.signatures)


def why_other_model(result: Result, other: Result) -> str:
    ours, theirs = result.checkpoint.parameters, other.checkpoint.parameters
    return "" if ours == theirs else f"its {result.system} has {ours} parameters, not {theirs}"
