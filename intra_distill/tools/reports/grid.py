"""A grid of runs, systems × data sets × seeds: its results gathered, tested and laid out."""

import functools
import glob
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from ...errors import UserError
from ..config import load_config
from ..scoring.metrics import Scorer, compare, signatures_of
from ..scoring.results import (
    Result,
    TestSet,
    is_compared,
    load_scorers,
    read_hypotheses,
    read_result,
    why_other_metrics,
    why_other_test_set,
)


@dataclass(frozen=True)
class Run:
    """A result and where it is."""

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


@dataclass(frozen=True)
class MeanScore:
    """A score over the seeds."""

    mean: float
    sd: float | None  # sample standard deviation; None of one seed
    p_value: float | None  # of the difference to the reference system, see largest_p_values()


@dataclass(frozen=True)
class Cell:
    """A system on a data set: all its seeds."""

    seeds: list[int]
    scores: dict[str, MeanScore]  # by metric
    parameters: int
    updates: float  # mean over the seeds, as the next
    training_seconds: float
    cut_hypotheses: int  # of all seeds
    not_compared: str  # why there are no p-values; empty where there are, or nothing to compare


@dataclass(frozen=True)
class Paper:
    """Published numbers to stand beside ours."""

    source: str
    metric: str
    scores: dict[str, dict[str, float]]  # by system and data set
    parameters: dict[str, str]  # by system, as printed

    def score(self, system: str, dataset: str, metric: str) -> float | None:
        return self.scores.get(system, {}).get(dataset) if metric == self.metric else None


@dataclass(frozen=True)
class Table:
    """What is shown: which systems (rows), data sets and metrics, in order."""

    systems: list[str]
    datasets: list[str]
    metrics: list[str]
    reference: str  # the system that the others are compared with
    cells: dict[tuple[str, str], Cell]  # by system and data set; some may be missing
    subset: str
    beam: int
    lenpen: float
    limit_of_length: str
    signatures: dict[str, str]
    paper: Paper | None

    @property
    def shown(self) -> dict[tuple[str, str], Cell]:
        """The cells that are not missing."""
        keys = [(system, dataset) for system in self.systems for dataset in self.datasets]
        return {key: self.cells[key] for key in keys if key in self.cells}


def gather(paths: Iterable[Path], subset: str) -> list[Run]:
    """Read result files and those that folders hold.

    Args:
        paths: JSON files of ``intra-distill evaluate``, and folders searched for ``SUBSET.json``
        subset: which results of a folder are wanted
    Raises:
        UserError: a folder holds none, a file is no result, or no subset has such a name
    """
    if Path(f"{subset}.json").name != f"{subset}.json":
        raise UserError(f"--gen-subset {subset!r} is no name of a subset, such as test")
    files: dict[str, Path] = {}  # each file once, under the first name it was met by
    for path in paths:
        found = sorted(path.rglob(f"{glob.escape(subset)}.json")) if path.is_dir() else [path]
        if not found:
            raise UserError(f"{path} holds no {subset}.json: run intra-distill evaluate first")
        for file in found:
            files.setdefault(os.path.realpath(file), file)
    return [Run(file, read_result(file)) for file in files.values()]


def refuse_misfits(runs: list[Run], metrics: Iterable[str]) -> None:
    """Refuse results that were not scored alike, and two where the grid has room for one."""
    of_dataset: dict[str, Run] = {}
    of_cell: dict[tuple[str, str], Run] = {}
    of_seed: dict[tuple[str, str, int], Run] = {}
    for run in runs:
        same_dataset = of_dataset.setdefault(run.dataset, run)
        same_cell = of_cell.setdefault((run.system, run.dataset), run)
        same_seed = of_seed.setdefault((run.system, run.dataset, run.seed), run)
        for other, obstacle in (
            (runs[0], why_other_settings(run.result, runs[0].result, metrics)),
            (same_dataset, why_other_test_set(run.result, same_dataset.result.test_set)),
            (same_cell, why_other_model(run.result, same_cell.result)),
        ):
            if obstacle:
                raise UserError(
                    f"{run.path} cannot stand in one table with {other.path}: {obstacle}"
                )
        if same_seed is not run:
            raise UserError(
                f"{run.path} and {same_seed.path} are both {run.system} on {run.dataset} with seed "
                f"{run.seed}: leave one out, or evaluate it under another --name"
            )


def metrics_of_all(runs: list[Run]) -> list[str]:
    """The metrics that every result has, in the order of the first."""
    first, *others = (run.result.scores for run in runs)
    common = [metric for metric in first if all(metric in scores for scores in others)]
    if not common:
        raise UserError("the results have no metric in common: evaluate them again with --metrics")
    return common


def why_other_settings(result: Result, other: Result, metrics: Iterable[str]) -> str:
    for metric in metrics:
        if metric not in result.scores:
            return f"it has no {metric}: evaluate it again with --metrics"
    if result.task != other.task:
        return f"its task is {result.task}, not {other.task}"
    if result.test_set.subset != other.test_set.subset:
        return f"its subset is {result.test_set.subset}, not {other.test_set.subset}"
    for setting in ("beam", "lenpen", "limit_of_length"):
        ours, theirs = getattr(result, setting), getattr(other, setting)
        if ours != theirs:
            return f"its {setting.replace('_', ' ')} is {ours}, not {theirs}"
    return why_other_metrics(result, other.signatures)


def why_other_model(result: Result, other: Result) -> str:
    ours, theirs = result.checkpoint.parameters, other.checkpoint.parameters
    return "" if ours == theirs else f"its {result.system} has {ours} parameters, not {theirs}"


def aggregate(
    runs: list[Run], metrics: list[str], reference_system: str
) -> dict[tuple[str, str], Cell]:
    """Sum runs up over their seeds, and test their difference to a reference system.

    Args:
        runs: as :func:`gather` found them
        metrics: those that are wanted
        reference_system: the system to test against; it has no p-values itself
    Returns:
        by system and data set, what there are runs of
    """
    grid: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grid.setdefault((run.system, run.dataset), []).append(run)
    cells = {}
    for (system, dataset), seeds in grid.items():
        p_values, not_compared = {}, ""
        if system != reference_system:
            try:
                reference = grid.get((reference_system, dataset), [])
                p_values = largest_p_values(seeds, reference, metrics)
            except UserError as error:
                not_compared = str(error)
        checkpoints = [run.result.checkpoint for run in seeds]
        scores = {metric: [run.result.scores[metric] for run in seeds] for metric in metrics}
        cells[system, dataset] = Cell(
            seeds=[run.seed for run in seeds],
            scores={
                metric: MeanScore(
                    mean=fmean(values),
                    sd=stdev(values) if len(values) > 1 else None,
                    p_value=p_values.get(metric),
                )
                for metric, values in scores.items()
            },
            parameters=checkpoints[0].parameters,
            updates=fmean(checkpoint.updates for checkpoint in checkpoints),
            training_seconds=fmean(checkpoint.training_seconds for checkpoint in checkpoints),
            cut_hypotheses=sum(run.result.cut_hypotheses for run in seeds),
            not_compared=not_compared,
        )
    return cells


def largest_p_values(runs: list[Run], reference: list[Run], metrics: list[str]) -> dict[str, float]:
    """By metric, the largest p-value that a seed has against the same seed of the reference.

    A small one says that the difference is there in every seed: an intersection–union test, which
    needs no correction for the number of seeds. Where the seeds disagree on which system is
    better, it is 1. A reference of one seed is compared with all.

    Raises:
        UserError: a seed has no counterpart, or a comparison cannot be made, or not any more
    """
    counterparts = {run.seed: run for run in reference}
    p_values: dict[str, list[float]] = {metric: [] for metric in metrics}
    better: dict[str, set[bool]] = {metric: set() for metric in metrics}
    for run in runs:
        counterpart = reference[0] if len(reference) == 1 else counterparts.get(run.seed)
        if counterpart is None:
            raise UserError(f"the reference has no result on {run.dataset} with seed {run.seed}")
        for metric, p_value in paired_bootstrap(run, counterpart, metrics).items():
            p_values[metric].append(p_value)
            better[metric].add(run.result.scores[metric] > counterpart.result.scores[metric])
    return {m: max(p_values[m]) if len(better[m]) == 1 else 1.0 for m in metrics}


def paired_bootstrap(run: Run, reference: Run, metrics: list[str]) -> dict[str, float]:
    """The p-values of a difference: those evaluate found, or else found now.

    Raises:
        UserError: the hypotheses or the references are not as they were, or are too few
    """
    if is_compared(run.result, reference.result):
        tests = run.result.significance["tests"]
    else:
        hypotheses = read_hypotheses(run.path.parent, run.result)
        reference_hypotheses = read_hypotheses(reference.path.parent, reference.result)
        test_set = run.result.test_set
        scorers = cached_scorers(test_set, run.result.tokenizer, tuple(metrics))
        for metric, signature in signatures_of(scorers).items():
            if signature != run.result.signatures[metric]:
                raise UserError(f"the installed sacreBLEU is another: its {metric} is {signature}")
        print(f"comparing {run.path} with {reference.path}", file=sys.stderr)
        tests = compare(hypotheses, reference_hypotheses, scorers)
    for metric in metrics:
        if tests[metric]["p_value"] is None:
            raise UserError(f"{run.system} on {run.dataset}: {tests[metric]['why_none']}")
    return {metric: tests[metric]["p_value"] for metric in metrics}


@functools.lru_cache(maxsize=1)  # it holds the references tokenised
def cached_scorers(
    test_set: TestSet, tokenizer: str, metrics: tuple[str, ...]
) -> dict[str, Scorer]:
    return load_scorers(test_set, tokenizer, metrics)


def read_paper(path: Path) -> Paper:
    """Read published numbers, as ``configs/iwslt14/paper.yaml`` holds them."""
    try:
        content = load_config(path)
        systems = content["systems"]
        return Paper(
            source=str(content["source"]),
            metric=content["metric"],
            scores={
                system: {name: float(score) for name, score in numbers["scores"].items()}
                for system, numbers in systems.items()
            },
            parameters={system: str(numbers["parameters"]) for system, numbers in systems.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path} does not hold published numbers: it needs source, metric, and of each of the "
            "systems parameters and scores by data set"
        ) from error


def lay_out(
    runs: list[Run],
    systems: list[str] | None = None,
    datasets: list[str] | None = None,
    metric: str | None = None,
    reference: str | None = None,
    paper: Paper | None = None,
) -> Table:
    """Decide what the table shows, and in which order.

    Args:
        runs: as :func:`gather` found them
        systems: the rows; by default the paper's and those of the results, the reference first
        datasets: likewise
        metric: the only one; by default all for one data set, the primary one for several
        reference: the system to compare with; by default transformer, or else the first
        paper: published numbers
    Raises:
        UserError: there is nothing to show, no such reference, or results do not fit together
    """
    ours = list(dict.fromkeys(run.system for run in runs))
    if reference is None:
        reference = "transformer" if "transformer" in ours else ours[0]
    if reference not in ours:
        raise UserError(f"--baseline {reference}: the results are of {', '.join(ours)}")
    published = paper.scores if paper else {}
    if systems is None:
        systems = list(dict.fromkeys([*published, reference, *ours]))
    if datasets is None:
        published_datasets = [name for scores in published.values() for name in scores]
        datasets = list(dict.fromkeys([*published_datasets, *(run.dataset for run in runs)]))
    wanted = [
        run for run in runs if run.dataset in datasets and run.system in {*systems, reference}
    ]
    if not any(run.system in systems for run in wanted):
        raise UserError(
            f"no result is of {', '.join(systems)} on {', '.join(datasets)}: the results are of "
            f"{', '.join(ours)} on {', '.join(dict.fromkeys(run.dataset for run in runs))}"
        )
    first = wanted[0].result
    metrics = [metric] if metric else metrics_of_all(wanted)
    if len(datasets) > 1 and not metric:
        metrics = [first.primary_metric]
    if paper and paper.metric not in metrics:
        raise UserError(f"the published numbers are {paper.metric}, the table's {metrics[0]}")
    refuse_misfits(wanted, metrics)
    return Table(
        systems=systems,
        datasets=datasets,
        metrics=metrics,
        reference=reference,
        cells=aggregate(wanted, metrics, reference),
        subset=first.test_set.subset,
        beam=first.beam,
        lenpen=first.lenpen,
        limit_of_length=first.limit_of_length,
        signatures={name: first.signatures[name] for name in metrics},
        paper=paper,
    )
