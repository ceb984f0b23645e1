"""A grid of systems × data sets: its runs averaged over seeds, tested and laid out."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from ...errors import UserError
from .paper import Paper
from .runs import Run, metrics_of_all, refuse_misfits
from .significance import largest_p_values


@dataclass(frozen=True)
class MeanScore:
    """The score of a system over its seeds."""

    mean: float
    sd: float | None  # sample standard deviation; None for one seed
    p_value: float | None  # of the difference from the reference system, see largest_p_values()


@dataclass(frozen=True)
class Cell:
    """A system on a data set, with all its seeds."""

    seeds: list[int]
    scores: dict[str, MeanScore]  # by metric
    parameters: int
    updates: float  # mean over the seeds
    training_seconds: float | None  # mean over the seeds; None if that of a seed is unknown
    cut_hypotheses: int  # sum over the seeds
    not_compared: str  # why a comparison failed; else empty


@dataclass(frozen=True)
class Table:
    """What a table shows: its systems (rows), data sets and metrics, in this order."""

    systems: list[str]
    datasets: list[str]
    metrics: list[str]
    reference: str  # the system that the others are compared with
    cells: dict[tuple[str, str], Cell]  # by system and data set; may be incomplete
    subset: str
    beam: int
    lenpen: float
    limit_of_length: str
    signatures: dict[str, str]
    paper: Paper | None

    @property
    def shown(self) -> dict[tuple[str, str], Cell]:
        """The cells of the table that exist."""
        keys = [(system, dataset) for system in self.systems for dataset in self.datasets]
        return {key: self.cells[key] for key in keys if key in self.cells}


def aggregate(
    runs: list[Run], metrics: list[str], reference_system: str
) -> dict[tuple[str, str], Cell]:
    """Average runs over their seeds, and test their difference from a reference system.

    Args:
        runs: as :func:`~.runs.gather` returns them
        metrics: the metrics to show
        reference_system: the system to test against; it has no p-values itself
    Returns:
        by system and data set, the cells that have runs
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
            training_seconds=complete_mean([each.training_seconds for each in checkpoints]),
            cut_hypotheses=sum(run.result.cut_hypotheses for run in seeds),
            not_compared=not_compared,
        )
    return cells


def complete_mean(values: Sequence[float | None]) -> float | None:
    """The mean, or None if a value is missing."""
    return None if None in values else fmean(values)


def lay_out(
    runs: list[Run],
    systems: list[str] | None = None,
    datasets: list[str] | None = None,
    metric: str | None = None,
    reference: str | None = None,
    paper: Paper | None = None,
) -> Table:
    """Decide what a table shows, and in which order.

    Args:
        runs: as :func:`~.runs.gather` returns them
        systems: the rows; by default the paper's systems, the reference, then all others
        datasets: by default the paper's data sets, then all others
        metric: the only metric; by default all for one data set, the primary one for several
        reference: the system to compare with; by default transformer, or else the first
        paper: published numbers
    Raises:
        UserError: nothing is left to show, the reference is unknown, or results are not comparable
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
