"""The table of a grid in Markdown, as CSV and as a bar chart."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...files import write_lines
from ..scoring.metrics import BOOTSTRAP_SAMPLES
from .grid import Cell, MeanScore, Table
from .markdown import MISSING, decimals, difference, duration, escape, millions, table_text
from .picture import AS_IT_IS, COLOURS, add_legend, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.container import BarContainer

SIGNIFICANT = 0.05
SENTENCES = re.compile(r"(?<=\bsentences:)\d+")  # in a signature
AVERAGE = "average"  # in the place of a data set's name


# Markdown


def table_markdown(table: Table) -> str:
    """Format a table in Markdown, with notes below it."""
    if len(table.datasets) == 1:
        rows = one_dataset(table)
    elif table.is_long:
        rows = zip(*many_datasets(table), strict=True)
    else:
        rows = many_datasets(table)
    return "\n".join([table_text(rows), "", *(f"- {note}" for note in notes(table))])


def one_dataset(table: Table) -> Iterable[Sequence[str]]:
    """Yield the header and the rows of a table of one data set, with all metrics and costs."""
    (dataset,) = table.datasets
    cells = [table.cells.get((system, dataset)) for system in table.systems]
    reference = table.cells.get((table.reference, dataset))
    columns = [["System", *map(escape, table.systems)]]
    for metric in table.metrics[dataset]:
        scores = [cell and cell.scores[metric] for cell in cells]
        base = None if reference is None else reference.scores[metric]
        digits = table.digits(metric)
        columns.append(
            [table.measure(metric).heading, *(score_text(score, base, digits) for score in scores)]
        )
        if any(system != table.reference for system in table.systems):
            columns.append(["p", *(p_value_text(score, base) for score in scores)])
        if table.paper and metric == table.paper.metric_of(dataset):
            theirs = [table.paper.score(system, dataset, metric) for system in table.systems]
            means = [score and score.mean for score in scores]
            columns.append(["paper", *map(partial(published, digits), means, theirs)])
    if any(len(cell.seeds) > 1 for cell in cells if cell):
        columns.append(["seeds", *texts(cells, lambda cell: str(len(cell.seeds)))])
    columns += [
        ["updates", *texts(cells, lambda cell: f"{cell.updates:.0f}")],
        ["training time", *texts(cells, lambda cell: duration(cell.training_seconds))],
        ["parameters", *texts(cells, lambda cell: millions(cell.parameters))],
    ]
    return zip(*columns, strict=True)


def many_datasets(table: Table) -> Iterable[Sequence[str]]:
    """Yield the header and the rows of systems × data sets, as in the paper's Tables 2 and 4.

    They are the columns of a long table, as in Tables 7 and 8.
    """
    metrics = [table.metrics[dataset][0] for dataset in table.datasets]
    digits = [*map(table.digits, metrics), max(map(table.digits, metrics))]
    numbers_of_seeds = {len(cell.seeds) for cell in table.shown.values()}
    names = [heading(table, name) for name in table.datasets]
    yield ["Data set" if table.is_long else "System", *names, AVERAGE, "parameters"]
    for system in table.systems:
        cells = [table.cells.get((system, dataset)) for dataset in table.datasets]
        scores = [cell and cell.scores[metric] for cell, metric in zip(cells, metrics, strict=True)]
        row = []
        for cell, score, places in zip(cells, scores, digits, strict=False):
            text = score_text(score, None, places)
            if score and (score.p_value or 1) < SIGNIFICANT:
                text += "†"
            if cell and len(numbers_of_seeds) > 1:
                text += f" (n = {len(cell.seeds)})"
            row.append(text)
        average = table.average(system)
        yield [escape(system), *row, score_text(average, None, digits[-1]), model_sizes(cells)]
        if table.paper and system in table.paper.scores:
            theirs = [
                table.paper.score(system, dataset, metric)
                for dataset, metric in zip(table.datasets, metrics, strict=True)
            ]
            theirs.append(table.published_average(system))
            ours = [score and score.mean for score in [*scores, average]]
            row = map(published, digits, ours, theirs)
            parameters = table.paper.parameters.get(system, MISSING)
            yield [f"{escape(system)}, paper", *row, parameters]


def model_sizes(cells: Iterable[Cell | None]) -> str:
    """The number of parameters, or the smallest and the largest where data sets differ in it."""
    sizes = sorted({cell.parameters for cell in cells if cell})
    return "–".join(dict.fromkeys(map(millions, [*sizes[:1], *sizes[-1:]]))) or MISSING


def heading(table: Table, dataset: str) -> str:
    """The heading of a data set's column, with its metric where data sets differ in it."""
    name, measure = escape(dataset), table.measure(table.metrics[dataset][0])
    return f"{name} ({measure.heading})" if table.is_mixed else name


def notes(table: Table) -> Iterable[str]:
    """Yield the notes below a table: how the scores were obtained, and what marks mean."""
    yield from signature_notes(table)
    yield ", ".join(str(each) for each in [*subset_names(table), table.search] if each)
    cells = table.shown
    cut = {key: cell.cut_hypotheses for key, cell in cells.items() if cell.cut_hypotheses}
    if cut:
        numbers = (
            f"{escape(system)} on {dataset} {number}" for (system, dataset), number in cut.items()
        )
        yield f"hypotheses cut at {table.search.limit_of_length}: {', '.join(numbers)}"
    seeds = {len(cell.seeds) for cell in cells.values()}
    if seeds != {1}:
        n = f" (n = {min(seeds)})" if len(seeds) == 1 else ""
        yield f"mean ± standard deviation over the seeds{n}"
    if any(score.p_value is not None for cell in cells.values() for score in cell.scores.values()):
        mark = "p" if len(table.datasets) == 1 else f"†: p < {SIGNIFICANT}"
        largest = ", the largest over the seeds" if seeds != {1} else ""
        yield (
            f"{mark}: paired bootstrap against {table.reference}, {BOOTSTRAP_SAMPLES} resamples"
            f"{largest}"
        )
    untested: dict[str, list[str]] = {}
    for (system, dataset), cell in cells.items():
        if cell.not_compared and len(table.datasets) > 1:
            untested.setdefault(system, []).append(dataset)
    if untested:
        each = (f"{system} on {places(table, system, names)}" for system, names in untested.items())
        yield f"not compared with {table.reference}: {', '.join(each)}"
    if table.paper:
        yield f"paper: {table.paper.source}; in brackets our difference from it"


def signature_notes(table: Table) -> Iterable[str]:
    """Yield the signature of each metric, once for all data sets that share it."""
    datasets: dict[tuple[str, str], list[str]] = {}  # by metric and signature
    for dataset in table.datasets:
        for metric, signature in table.signatures.get(dataset, {}).items():
            if table.is_long:  # or most data sets would have a line of their own
                signature = SENTENCES.sub("…", signature)
            datasets.setdefault((metric, signature), []).append(dataset)
    for (metric, signature), names in datasets.items():
        of_all = len(names) == len(table.signatures)
        where = "" if of_all else f" on {', '.join(map(escape, names))}"
        lower = "" if table.measure(metric).higher_is_better else " (lower is better)"
        yield f"{metric}{where}{lower}: `{signature}`"


def places(table: Table, system: str, datasets: Sequence[str]) -> str:
    """Some data sets of a system, in words."""
    number = sum(of == system for of, _ in table.shown)
    return "all data sets" if len(datasets) == number > 1 else ", ".join(map(escape, datasets))


def subset_names(table: Table) -> Iterable[str]:
    """The names of the subsets, with * for that of a data set: test-* of test-ar and test-en."""
    subsets = ((table.subsets.get(dataset), dataset) for dataset in table.datasets)
    return dict.fromkeys(subset.replace(f"-{name}", "-*") for subset, name in subsets if subset)


def texts(cells: Sequence[Cell | None], text: Callable[[Cell], str]) -> list[str]:
    return [text(cell) if cell else MISSING for cell in cells]


def score_text(score: MeanScore | None, base: MeanScore | None, digits: int) -> str:
    """Format a score and, in brackets, its difference from ``base`` unless it is the base."""
    if score is None:
        return MISSING
    text = f"{score.mean:.{digits}f}"
    if score.sd is not None:
        text += f" ± {score.sd:.{digits}f}"
    if base is None or score is base:
        return text
    return text + difference(score.mean, base.mean, digits)


def p_value_text(score: MeanScore | None, base: MeanScore | None) -> str:
    if score is not None and score is base:
        return ""
    return MISSING if score is None or score.p_value is None else f"{score.p_value:.3f}"


def published(digits: int, ours: float | None, theirs: float | None) -> str:
    """Format a published score and, in brackets, our difference from it."""
    text = decimals(theirs, digits)
    return text if None in (ours, theirs) else text + difference(ours, theirs, digits)


# CSV


def write_csv(path: Path, table: Table) -> None:
    """Write a row for each system, data set and metric, and for the average of each system.

    Missing values are empty.
    """
    rows = [
        csv_row(table, system, dataset, metric)
        for system in table.systems
        for dataset in table.datasets
        for metric in table.metrics[dataset]
    ]
    rows += [average_row(table, system) for system in table.systems if table.has_average]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_lines(path, [text.getvalue().removesuffix("\n")])


def csv_row(table: Table, system: str, dataset: str, metric: str) -> dict[str, object]:
    """The row of a system, dataset and metric, by column."""
    cell = table.cells.get((system, dataset))
    score = cell and cell.scores[metric]
    paper = table.paper and table.paper.score(system, dataset, metric)
    return {
        "system": system,
        "dataset": dataset,
        "metric": metric,
        "n": len(cell.seeds) if cell else 0,
        "seeds": " ".join(map(str, cell.seeds)) if cell else None,
        **score_columns(score, paper),
        "p_value": score and score.p_value,
        "baseline": table.reference,
        "parameters": cell and cell.parameters,
        "updates": cell and cell.updates,
        "training_seconds": cell and cell.training_seconds,
        "subset": table.subsets.get(dataset),
        **search_columns(table, cell),
        "signature": table.signatures.get(dataset, {}).get(metric),
    }


def average_row(table: Table, system: str) -> dict[str, object]:
    """The row of a system's average over the data sets; its metric is empty where they differ."""
    average = table.average(system)
    return {
        "system": system,
        "dataset": AVERAGE,
        "metric": None if table.is_mixed else table.metrics[table.datasets[0]][0],
        "n": len(average.values) if average else 0,
        **score_columns(average, table.published_average(system)),
    }


def score_columns(score: MeanScore | None, paper: float | None) -> dict[str, float | None]:
    return {
        "mean": score and score.mean,
        "sd": score and score.sd,
        "paper": paper,
        "difference": None if score is None or paper is None else round(score.mean - paper, 6),
    }


def search_columns(table: Table, cell: Cell | None) -> dict[str, object]:
    """The columns of translations, which a table of predictions has not."""
    if table.search is None:
        return {}
    return {
        "beam": table.search.beam,
        "lenpen": table.search.lenpen,
        "limit_of_length": table.search.limit_of_length,
        "cut_hypotheses": cell and cell.cut_hypotheses,
    }


# The picture


def draw_bars(path: Path, table: Table) -> None:
    """Draw the first metric of each data set: a group of bars per data set, a bar per system.

    The bars of a long table are horizontal, one below the other.
    """
    from matplotlib.figure import Figure  # here, so that no other command waits for it

    bars = len(table.systems) * len(table.datasets)
    size = (7.0, 1.5 + 0.17 * bars) if table.is_long else (max(5.0, 1.5 + 0.27 * bars), 4.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    handles = {system: add_bars(axes, table, system) for system in table.systems}
    if table.paper:
        name = "published numbers" if "paper" in handles else "paper"
        for system in table.systems:
            handles[name] = add_published(axes, table, system)
    label_axes(axes, table)
    axes.spines[["top", "right"]].set_visible(False)
    add_legend(figure, handles, ncols=4)
    save_picture(figure, path)


def add_bars(axes: Axes, table: Table, system: str) -> BarContainer:
    scores = {
        dataset: cell.scores[table.metrics[dataset][0]]
        for (of, dataset), cell in table.shown.items()
        if of == system
    }
    i = table.systems.index(system)
    bars = (axes.barh if table.is_long else axes.bar)(
        [position(table, system, dataset) for dataset in scores],
        [score.mean for score in scores.values()],
        bar_width(table),
        **{"xerr" if table.is_long else "yerr": [score.sd or 0 for score in scores.values()]},
        error_kw={"elinewidth": 1, "capsize": 2, "zorder": 4},
        color=COLOURS[i % len(COLOURS)],
        hatch="//" * (i // len(COLOURS)),
    )
    rotation = 0 if table.is_long else 90
    axes.bar_label(bars, fmt="%.1f", label_type="center", rotation=rotation, fontsize=8)
    return bars


def add_published(axes: Axes, table: Table, system: str) -> PathCollection:
    x = [position(table, system, dataset) for dataset in table.datasets]
    y = [
        table.paper.score(system, dataset, table.metrics[dataset][0]) for dataset in table.datasets
    ]
    style = {"marker": "D", "s": 16, "facecolor": "white", "edgecolor": "black", "zorder": 3}
    return axes.scatter(*((y, x) if table.is_long else (x, y)), **style)


def label_axes(axes: Axes, table: Table) -> None:
    metric = {dataset: table.metrics[dataset][0] for dataset in table.datasets}
    ticks = [f"{name}\n{metric[name]}" if table.is_mixed else name for name in table.datasets]
    shown = table.measure(metric[table.datasets[0]]).axis
    if table.is_mixed:
        shown = f"score in the metric {'beside' if table.is_long else 'below'}"
    label = ", ".join([shown, *subset_names(table)])
    if table.is_long:
        axes.set_yticks(range(len(ticks)), ticks, **AS_IT_IS)
        axes.set_xlabel(label, **AS_IT_IS)
        axes.set_ylim(len(ticks) - 0.5, -0.5)  # the first data set on top
    else:
        axes.set_xticks(range(len(ticks)), ticks, **AS_IT_IS)
        axes.set_ylabel(label, **AS_IT_IS)


def bar_width(table: Table) -> float:
    return 0.8 / len(table.systems)


def position(table: Table, system: str, dataset: str) -> float:
    """Where the bar of a system stands: the group of each data set is 1 wide."""
    i = table.systems.index(system) - (len(table.systems) - 1) / 2
    return table.datasets.index(dataset) + i * bar_width(table)
