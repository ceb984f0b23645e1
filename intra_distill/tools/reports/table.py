"""The table of a grid in Markdown, as CSV and as a bar chart."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from ...files import write_lines
from ..scoring.metrics import BOOTSTRAP_SAMPLES, METRICS
from .grid import Cell, MeanScore, Table, complete_mean
from .markdown import MISSING, decimals, difference, duration, escape, millions, table_text
from .picture import AS_IT_IS, COLOURS, add_legend, save_picture

SIGNIFICANT = 0.05


# Markdown


def table_markdown(table: Table) -> str:
    """Format a table in Markdown, with notes below it."""
    rows = one_dataset(table) if len(table.datasets) == 1 else many_datasets(table)
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
            [METRICS[metric].heading, *(score_text(score, base, digits) for score in scores)]
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
    """Yield the header and the rows of systems × data sets, as in the paper's Tables 2 and 4."""
    metrics = [table.metrics[dataset][0] for dataset in table.datasets]
    digits = [*map(table.digits, metrics), max(map(table.digits, metrics))]
    of_one_direction = len({METRICS[metric].higher_is_better for metric in metrics}) == 1
    average = complete_mean if of_one_direction else lambda _: None
    numbers_of_seeds = {len(cell.seeds) for cell in table.shown.values()}
    yield ["System", *(heading(table, name) for name in table.datasets), "average", "parameters"]
    for system in table.systems:
        cells = [table.cells.get((system, dataset)) for dataset in table.datasets]
        row = []
        for cell, metric in zip(cells, metrics, strict=True):
            text = score_text(cell and cell.scores[metric], None, table.digits(metric))
            if cell and (cell.scores[metric].p_value or 1) < SIGNIFICANT:
                text += "†"
            if cell and len(numbers_of_seeds) > 1:
                text += f" (n = {len(cell.seeds)})"
            row.append(text)
        means = [
            cell and cell.scores[metric].mean for cell, metric in zip(cells, metrics, strict=True)
        ]
        sizes = sorted({cell.parameters for cell in cells if cell})
        size = "–".join(dict.fromkeys(map(millions, [*sizes[:1], *sizes[-1:]])))
        yield [escape(system), *row, decimals(average(means), digits[-1]), size or MISSING]
        if table.paper and system in table.paper.scores:
            theirs = [
                table.paper.score(system, dataset, metric)
                for dataset, metric in zip(table.datasets, metrics, strict=True)
            ]
            ours, theirs = ([*values, average(values)] for values in (means, theirs))
            row = map(published, digits, ours, theirs)
            parameters = table.paper.parameters.get(system, MISSING)
            yield [f"{escape(system)}, paper", *row, parameters]


def heading(table: Table, dataset: str) -> str:
    """The heading of a data set's column, with its metric where data sets differ in it."""
    name = escape(dataset)
    return f"{name} ({METRICS[table.metrics[dataset][0]].heading})" if table.is_mixed else name


def notes(table: Table) -> Iterable[str]:
    """Yield the notes below a table: how the scores were obtained, and what marks mean."""
    yield from signature_notes(table)
    subsets = dict.fromkeys(map(table.subsets.get, table.datasets))
    yield ", ".join(str(each) for each in [*subsets, table.search] if each)
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
    untested = [
        f"{system} on {dataset}" for (system, dataset), cell in cells.items() if cell.not_compared
    ]
    if untested and len(table.datasets) > 1:
        yield f"not compared with {table.reference}: {', '.join(untested)}"
    if table.paper:
        yield f"paper: {table.paper.source}; in brackets our difference from it"


def signature_notes(table: Table) -> Iterable[str]:
    """Yield the signature of each metric, once for all data sets that share it."""
    datasets: dict[tuple[str, str], list[str]] = {}  # by metric and signature
    for dataset in table.datasets:
        for metric, signature in table.signatures.get(dataset, {}).items():
            datasets.setdefault((metric, signature), []).append(dataset)
    for (metric, signature), names in datasets.items():
        of_all = len(names) == len(table.signatures)
        where = "" if of_all else f" on {', '.join(map(escape, names))}"
        lower = "" if METRICS[metric].higher_is_better else " (lower is better)"
        yield f"{metric}{where}{lower}: `{signature}`"


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
    """Write a row for each system, dataset and metric; missing values are empty."""
    rows = [
        csv_row(table, system, dataset, metric)
        for system in table.systems
        for dataset in table.datasets
        for metric in table.metrics[dataset]
    ]
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
        "mean": score and score.mean,
        "sd": score and score.sd,
        "p_value": score and score.p_value,
        "baseline": table.reference,
        "paper": paper,
        "difference": None if not score or paper is None else round(score.mean - paper, 6),
        "parameters": cell and cell.parameters,
        "updates": cell and cell.updates,
        "training_seconds": cell and cell.training_seconds,
        "subset": table.subsets.get(dataset),
        **search_columns(table, cell),
        "signature": table.signatures.get(dataset, {}).get(metric),
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
    """Draw the first metric of each data set: a group of bars per data set, a bar per system."""
    from matplotlib.figure import Figure  # here, so that no other command waits for it

    systems, datasets, paper = table.systems, table.datasets, table.paper
    metric = {dataset: table.metrics[dataset][0] for dataset in datasets}
    bars = len(systems) * len(datasets)
    figure = Figure(figsize=(max(5.0, 1.5 + 0.27 * bars), 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(systems)
    handles = {}
    for i, system in enumerate(systems):
        x = {
            dataset: p + (i - (len(systems) - 1) / 2) * width for p, dataset in enumerate(datasets)
        }
        scores = {
            dataset: table.cells[system, dataset].scores[metric[dataset]]
            for dataset in datasets
            if (system, dataset) in table.cells
        }
        container = axes.bar(
            [x[dataset] for dataset in scores],
            [score.mean for score in scores.values()],
            width,
            yerr=[score.sd or 0 for score in scores.values()],
            error_kw={"elinewidth": 1, "capsize": 2, "zorder": 4},
            color=COLOURS[i % len(COLOURS)],
            hatch="//" * (i // len(COLOURS)),
        )
        handles[system] = container
        axes.bar_label(container, fmt="%.1f", label_type="center", rotation=90, fontsize=8)
        if paper:
            dots = axes.scatter(
                [x[dataset] for dataset in datasets],
                [paper.score(system, dataset, metric[dataset]) for dataset in datasets],
                marker="D",
                s=16,
                facecolor="white",
                edgecolor="black",
                zorder=3,
            )
    ticks = [f"{name}\n{metric[name]}" if table.is_mixed else name for name in datasets]
    axes.set_xticks(range(len(datasets)), ticks, **AS_IT_IS)
    shown = "score in the metric below" if table.is_mixed else METRICS[metric[datasets[0]]].axis
    axes.set_ylabel(", ".join([shown, *dict.fromkeys(table.subsets.values())]), **AS_IT_IS)
    axes.spines[["top", "right"]].set_visible(False)
    if paper:
        handles["published numbers" if "paper" in handles else "paper"] = dots
    add_legend(figure, handles, ncols=4)

    save_picture(figure, path)
