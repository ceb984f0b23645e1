"""The scores of pruned models against the share that is removed: JSON, a table and a picture."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..reports.markdown import difference, escape, table_text
from ..reports.picture import AS_IT_IS, COLOURS, add_legend, save_picture
from ..scoring.metrics import METRICS
from ..scoring.results import Result, SearchRecord
from .pruning import Pruning

LINES = {"sensitivity": "o-", "magnitude": "^--", "random": "s:"}  # by order


def curves(
    prunings: Iterable[Pruning], results: dict[Path, Result]
) -> dict[tuple[str, str], dict[Decimal, Result]]:
    """Group the results by system and order, then by ratio."""
    curves: dict[tuple[str, str], dict[Decimal, Result]] = {}
    for pruning in prunings:
        curve = curves.setdefault((pruning.system.name, pruning.order), {})
        curve[pruning.ratio] = results[pruning.folder]
    return curves


def label(system: str, order: str, orders: Iterable[str]) -> str:
    """The name of a curve, without the order if all orders are sensitivity."""
    return system if set(orders) == {"sensitivity"} else f"{system}, {order}"


def pruning_json(prunings: list[Pruning], results: dict[Path, Result]) -> dict[str, Any]:
    """The content of ``prune.json``."""
    first = next(iter(results.values()))
    models = []
    for pruning in prunings:
        result = results[pruning.folder]
        whole = results[replace(pruning, ratio=Decimal(0)).folder]
        models.append(
            {
                "system": pruning.system.name,
                "checkpoint": str(pruning.system.checkpoint),
                "order": pruning.order,
                "ratio": float(pruning.ratio),
                **pruning.identity,
                "result": str(pruning.folder / f"{result.test_set.subset}.json"),
                "scores": result.scores,
                **({"cut_hypotheses": result.search.cut_hypotheses} if result.search else {}),
                "changes": {
                    metric: score - whole.scores[metric] for metric, score in result.scores.items()
                },
            }
        )
    return {
        "data": first.test_set.data,
        "subset": first.test_set.subset,
        **search_json(first.search),
        "signatures": first.signatures,
        "models": models,
    }


def search_json(search: SearchRecord | None) -> dict[str, Any]:
    """The options of the search that all results share; nothing of predictions."""
    if search is None:
        return {}
    names = ("beam", "lenpen", "limit_of_length")
    return {name: getattr(search, name) for name in names}


def pruning_table(prunings: list[Pruning], results: dict[Path, Result]) -> str:
    """Format a table of the primary metric: a row for each ratio, a column for each curve."""
    first = next(iter(results.values()))
    metric, digits = first.primary_metric, METRICS[first.primary_metric].decimals
    by_curve = curves(prunings, results)
    orders = [order for _, order in by_curve]
    rows = [["Removed", *(escape(label(*curve, orders)) for curve in by_curve)]]
    for ratio in dict.fromkeys(pruning.ratio for pruning in prunings):
        row = [f"{(100 * ratio).normalize():f} %"]
        for curve in by_curve.values():
            score, whole = (curve[each].scores[metric] for each in (ratio, Decimal(0)))
            row.append(f"{score:.{digits}f}" + (difference(score, whole, digits) if ratio else ""))
        rows.append(row)
    notes = [
        f"{metric}: `{first.signatures[metric]}`",
        ", ".join(map(str, filter(None, [first.test_set.subset, first.search]))),
        "removed: the share of all the model's parameters that is set to zero",
    ]
    cut = {
        folder: each.search.cut_hypotheses
        for folder, each in results.items()
        if each.search and each.search.cut_hypotheses
    }
    if cut:
        numbers = ", ".join(f"{escape(str(folder))} {number}" for folder, number in cut.items())
        notes.append(f"hypotheses cut at {first.search.limit_of_length}: {numbers}")
    return "\n".join([table_text(rows), "", *(f"- {note}" for note in notes)])


def draw_pruning(path: Path, prunings: list[Pruning], results: dict[Path, Result]) -> None:
    """Draw the primary metric and, beside it, its change against the share that is removed."""
    from matplotlib.figure import Figure  # here, so that no other command waits for it

    by_curve = curves(prunings, results)
    orders = [order for _, order in by_curve]
    systems = list(dict.fromkeys(system for system, _ in by_curve))
    first = next(iter(results.values()))
    metric = first.primary_metric
    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    handles = {}
    for (system, order), curve in by_curve.items():
        removed = [100 * float(ratio) for ratio in curve]
        scores = [result.scores[metric] for result in curve.values()]
        style = {
            "color": COLOURS[systems.index(system) % len(COLOURS)],
            "linewidth": 2,
        }
        (handles[label(system, order, orders)],) = left.plot(removed, scores, LINES[order], **style)
        right.plot(removed, [score - scores[0] for score in scores], LINES[order], **style)
    left.set_ylim(bottom=0)
    left.set_ylabel(f"{METRICS[metric].axis}, {first.test_set.subset}", **AS_IT_IS)
    right.set_ylabel(f"change in {metric}")
    for axes in (left, right):
        axes.set_xlabel("parameters removed (%)")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    add_legend(figure, handles, ncols=3)
    figure.supxlabel(f"{metric}: {first.signatures[metric]}", fontsize=8, color="dimgrey")

    save_picture(figure, path)
