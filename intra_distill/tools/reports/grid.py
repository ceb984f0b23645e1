"""A grid of systems × data sets: its runs averaged over seeds, tested and laid out."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from ...errors import UserError
from ..scoring.metrics import METRICS, Measure
from ..scoring.results import SearchRecord
from .paper import Paper
from .runs import Run, metrics_of_all, refuse_misfits, refuse_unknown_metric
from .significance import largest_p_values

PLAIN = ("transformer", "plain")  # systems that others are compared with, unless one is chosen
MOST_COLUMNS = 10  # a table of more data sets has a row for each, instead of a column


@dataclass(frozen=True)
class MeanScore:
    """The score of a system over its seeds."""

    values: tuple[float, ...]  # one per seed
    p_value: float | None = None  # of the difference from the reference, see largest_p_values()

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def sd(self) -> float | None:
        """The sample standard deviation; None for one seed."""
        return stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Cell:
    """A system on a data set, with all its seeds."""

    seeds: list[int]
    scores: dict[str, MeanScore]  # by metric; their values are in the order of seeds
    parameters: int
    updates: float  # mean over the seeds
    training_seconds: float | None  # mean over the seeds; None if that of a seed is unknown
    cut_hypotheses: int  # of translations: sum over the seeds
    not_compared: str  # why a comparison failed; else empty


@dataclass(frozen=True)
class Table:
    """What a table shows: its systems, data sets and metrics, in this order."""

    systems: list[str]
    datasets: list[str]
    metrics: dict[str, list[str]]  # by data set; the same number for each
    reference: str  # the system that the others are compared with
    cells: dict[tuple[str, str], Cell]  # by system and data set; may be incomplete
    subsets: dict[str, str]  # by data set, where there are results
    search: SearchRecord | None  # of the first result; all translations share its options
    signatures: dict[str, dict[str, str]]  # by data set, then by metric, where there are results
    others: dict[str, Measure]  # the metrics of other programs, by name
    paper: Paper | None

    def measure(self, metric: str) -> Measure:
        """How the scores in a metric are shown."""
        return self.others.get(metric) or METRICS[metric]

    @property
    def is_mixed(self) -> bool:
        """Whether data sets are shown in different metrics."""
        return len({tuple(metrics) for metrics in self.metrics.values()}) > 1

    @property
    def is_long(self) -> bool:
        """Whether there are too many data sets for a column each."""
        return len(self.datasets) > MOST_COLUMNS

    @property
    def has_average(self) -> bool:
        """Whether an average over the data sets means something: all are better in one direction.

        Of each data set the first metric counts.
        """
        directions = {self.measure(first).higher_is_better for first, *_ in self.metrics.values()}
        return len(self.datasets) > 1 and len(directions) == 1

    def average(self, system: str) -> MeanScore | None:
        """The average of a system over the data sets; None if there is none or a result is missing.

        Each seed has an average of its own, where all data sets have the same seeds.
        """
        cells = [self.cells.get((system, dataset)) for dataset in self.datasets]
        if None in cells or not self.has_average:
            return None
        scores = [
            dict(zip(cell.seeds, cell.scores[self.metrics[dataset][0]].values, strict=True))
            for cell, dataset in zip(cells, self.datasets, strict=True)
        ]
        if all(of_seeds.keys() == scores[0].keys() for of_seeds in scores):
            return MeanScore(
                tuple(fmean(of_seeds[seed] for of_seeds in scores) for seed in scores[0])
            )
        return MeanScore((fmean(fmean(of_seeds.values()) for of_seeds in scores),))

    def published_average(self, system: str) -> float | None:
        """The average of the published numbers of a system; None if one is missing."""
        if not self.paper or not self.has_average:
            return None
        return complete_mean(
            [
                self.paper.score(system, dataset, self.metrics[dataset][0])
                for dataset in self.datasets
            ]
        )

    def digits(self, metric: str) -> int:
        """The decimals of a metric: one more beside published numbers or for several data sets."""
        return self.measure(metric).decimals + (bool(self.paper) or len(self.datasets) > 1)

    @property
    def shown(self) -> dict[tuple[str, str], Cell]:
        """The cells of the table that exist."""
        keys = [(system, dataset) for system in self.systems for dataset in self.datasets]
        return {key: self.cells[key] for key in keys if key in self.cells}


def aggregate(
    runs: list[Run], metrics_of: dict[str, list[str]], reference_system: str
) -> dict[tuple[str, str], Cell]:
    """Average runs over their seeds, and test their difference from a reference system.

    Args:
        runs: as :func:`~.runs.gather` returns them
        metrics_of: the metrics to show, by data set
        reference_system: the system to test against; it has no p-values itself
    Returns:
        by system and data set, the cells that have runs
    """
    grid: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grid.setdefault((run.system, run.dataset), []).append(run)
    cells = {}
    for (system, dataset), seeds in grid.items():
        p_values, not_compared, metrics = {}, "", metrics_of[dataset]
        if system != reference_system:
            try:
                reference = grid.get((reference_system, dataset), [])
                p_values = largest_p_values(seeds, reference, metrics)
            except UserError as error:
                not_compared = str(error)
        checkpoints = [run.result.checkpoint for run in seeds]
        cells[system, dataset] = Cell(
            seeds=[run.seed for run in seeds],
            scores={
                metric: MeanScore(
                    tuple(run.result.scores[metric] for run in seeds), p_values.get(metric)
                )
                for metric in metrics
            },
            parameters=checkpoints[0].parameters,
            updates=fmean(checkpoint.updates for checkpoint in checkpoints),
            training_seconds=complete_mean([each.training_seconds for each in checkpoints]),
            cut_hypotheses=sum(
                run.result.search.cut_hypotheses for run in seeds if run.result.search
            ),
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
        metric: the only metric; by default all for one data set, for several the primary one of
            each
        reference: the system to compare with; by default one of :data:`PLAIN`, or else the first
        paper: published numbers
    Raises:
        UserError: nothing is left to show, the reference is unknown, or results are not comparable
    """
    ours = list(dict.fromkeys(run.system for run in runs))
    if reference is None:
        reference = next((name for name in PLAIN if name in ours), ours[0])
    if reference not in ours:
        raise UserError(f"--baseline {reference}: the results are of {', '.join(ours)}")
    published = paper.scores if paper else {}
    if systems is None:
        systems = list(dict.fromkeys([*published, reference, *ours]))
    if datasets is None:
        published_datasets = paper.datasets if paper else []
        datasets = list(dict.fromkeys([*published_datasets, *(run.dataset for run in runs)]))
    wanted = [
        run for run in runs if run.dataset in datasets and run.system in {*systems, reference}
    ]
    if not any(run.system in systems for run in wanted):
        raise UserError(
            f"no result is of {', '.join(systems)} on {', '.join(datasets)}: the results are of "
            f"{', '.join(ours)} on {', '.join(dict.fromkeys(run.dataset for run in runs))}"
        )
    if metric:
        refuse_unknown_metric(wanted, metric)
    metrics = choose_metrics(wanted, datasets, metric, paper)
    refuse_misfits(wanted, metrics)
    results = {run.dataset: run.result for run in reversed(wanted)}  # the first of each data set
    return Table(
        systems=systems,
        datasets=datasets,
        metrics=metrics,
        reference=reference,
        cells=aggregate(wanted, metrics, reference),
        subsets={name: result.test_set.subset for name, result in results.items()},
        search=wanted[0].result.search,
        signatures={
            name: {metric: result.signatures[metric] for metric in metrics[name]}
            for name, result in results.items()
        },
        others={
            metric: run.result.measure(metric)
            for run in wanted
            for metric in run.result.segment_scores
        },
        paper=paper,
    )


def choose_metrics(
    runs: list[Run], datasets: list[str], metric: str | None, paper: Paper | None
) -> dict[str, list[str]]:
    """Choose the metrics of each data set.

    Raises:
        UserError: the results of the only data set have no metric in common, or published numbers
            are in another metric
    """
    if metric:
        chosen = dict.fromkeys(datasets, [metric])
    elif len(datasets) == 1:
        chosen = {datasets[0]: metrics_of_all(runs)}
    else:
        primary = {run.dataset: run.result.primary_metric for run in reversed(runs)}
        default = runs[0].result.primary_metric
        chosen = {
            dataset: [primary.get(dataset) or (paper and paper.metric_of(dataset)) or default]
            for dataset in datasets
        }
    for dataset, metrics in chosen.items():
        theirs = paper and paper.metric_of(dataset)
        if theirs and theirs not in metrics:
            raise UserError(
                f"the published numbers on {dataset} are {theirs}, the table's {metrics[0]}"
            )
    return chosen
