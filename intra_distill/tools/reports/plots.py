"""Pictures of runs: validation curves, a metric against K, sensitivity over training, and α′."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from ...core.schedule import AlphaSchedule
from ...criterions.objective import ObjectiveConfig
from ...errors import UserError
from ..config import System, load_config
from .logs import Log, choose_logs, points_of, read_logs
from .messages import TRAINING
from .picture import AS_IT_IS, COLOURS, add_legend
from .reference import Reference
from .runs import Run, gather, refuse_misfits, refuse_unknown_metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# fairseq's statistics of validation; {} stands for the unit of the loss
VALIDATION = {
    "loss": "loss ({})",
    "nll_loss": "negative log-likelihood ({})",
    "ppl": "perplexity",
    "accuracy": "accuracy (%)",
    "f1": "F1 (× 100)",
    "mcc": "MCC (× 100)",
    "pearson": "Pearson (× 100)",
}
# a statistic of predictions → the unit of their loss
UNITS = {"accuracy": "{} per sentence", "pearson": "squared error per sentence"}
UNIT = "{} per token"  # of translations, whose accuracy of tokens may be logged as well
GROUPS = {"sensitivity_top": ("top 20 %", "-"), "sensitivity_rest": ("the rest", "--")}
LINE_COLOURS = [colour for colour in COLOURS if colour != "#F0E442"]  # too light for a line
LINE_STYLES = ["-", "--", "-."]  # the next one once all colours are used
REFERENCE_STYLE = ":"
POINTS = 500  # of the curve of α′


def plot_loss(
    paths: Iterable[Path], log_key: str, subset: str, reference: Reference | None = None
) -> Figure:
    """Draw a validation curve for each run; the seeds of a system have the same colour.

    Args:
        paths: logs, or folders to search for them
        log_key: one of :data:`VALIDATION`
        subset: the validation subset
        reference: published curves, to draw as dotted lines
    Raises:
        UserError: no log has the statistic, or the logs or the reference do not compare
    """
    remedy = "choose another by --log-key"
    logs = choose_logs(read_logs(paths), subset, log_key, remedy)
    unit = unit_of(logs, subset, "bits")
    published = points_beside(reference, log_key, subset, unit) if reference else {}
    figure, axes = new_figure("update", f"{subset} {VALIDATION[log_key].format(unit)}")
    twins = system_of_each(published, [log.system for log in logs])
    styles, names = line_styles([*(log.system for log in logs), *twins.values()])
    handles = {}
    for log in logs:
        points = points_of(log.statistics, subset, log_key)
        (handles[names[log.system]],) = axes.plot(*xy(points), **styles[log.system])
    for name, points in published.items():
        style = styles[twins[name]] | {"linestyle": REFERENCE_STYLE}
        (handles[f"{name}, published"],) = axes.plot(*xy(points), **style)
    if log_key == "ppl":
        axes.set_yscale("log")
    add_names(figure, handles)
    if reference:
        add_note(figure, f"published: {reference.source}")
    return figure


def points_beside(
    reference: Reference, log_key: str, subset: str, unit: str
) -> dict[str, dict[int, float]]:
    """The published curves of a statistic by system, to draw beside logs.

    Raises:
        UserError: the reference has none, or is of another subset or in another unit
    """
    for what, ours, theirs in (("of", subset, reference.subset), ("in", unit, reference.unit)):
        if ours != theirs:
            raise UserError(f"{reference.path} is {what} {theirs}, and the logs are {what} {ours}")
    return reference.points(log_key)


def system_of_each(published: Iterable[str], systems: list[str]) -> dict[str, str]:
    """The first of the systems that has the name of a published one, or else that name itself."""
    by_name = {Path(system).name: system for system in reversed(systems)}
    return {name: by_name.get(name, name) for name in published}


def unit_of(logs: Iterable[Log], of: str, information: str) -> str:
    """The unit of the losses in logs.

    Args:
        logs: at least one
        of: a validation subset, or :data:`~.messages.TRAINING`
        information: bits or nats
    Raises:
        UserError: the logs differ in it
    """
    units: dict[str, Path] = {}
    for log in logs:
        names = {name for each in log.statistics if each.of == of for name in each.values}
        kinds = [UNITS[name] for name in UNITS if name in names and "ppl" not in names]
        units.setdefault([*kinds, UNIT][0].format(information), log.path)
    if len(units) > 1:
        each = (f"{path} in {unit}" for unit, path in units.items())
        raise UserError(f"the losses differ in their unit: {', '.join(each)}: draw one kind")
    return next(iter(units))


def plot_sensitivity(paths: Iterable[Path]) -> Figure:
    """Draw the mean sensitivity over training: the top 20 % solid, the rest dashed."""
    from matplotlib.lines import Line2D

    remedy = "train with --track-sensitivity 100"
    logs = choose_logs(read_logs(paths), TRAINING, "sensitivity_top", remedy)
    unit = unit_of(logs, TRAINING, "nats")
    figure, axes = new_figure("update", f"mean |θ ⊙ g| ({unit})")
    styles, names = line_styles(log.system for log in logs)
    handles = {}
    for key, (_, dashes) in GROUPS.items():
        for log in logs:
            points = points_of(log.statistics, TRAINING, key)
            (line,) = axes.plot(*xy(points), **styles[log.system] | {"linestyle": dashes})
            handles.setdefault(names[log.system], line)
    axes.set_yscale("log")
    groups = {name: Line2D([], [], color="k", linestyle=dashes) for name, dashes in GROUPS.values()}
    add_names(figure, handles | groups)
    return figure


def plot_passes(paths: Iterable[Path], subset: str, metric: str | None) -> Figure:
    """Draw a metric against K; a system with only one pass becomes a horizontal line.

    Args:
        paths: results, or folders to search for them
        subset: the subset to look for in folders
        metric: by default the results' primary one
    """
    runs = gather(paths, [subset])
    if metric:
        refuse_unknown_metric(runs, metric)
    metric = metric or runs[0].result.primary_metric
    names = [str(System.of(run.system).without("task.num_passes")) for run in runs]
    Ks = [run.result.checkpoint.num_passes for run in runs]
    named = [
        Run(run.path, replace(run.result, system=f"{name} with K = {K}"))
        for run, name, K in zip(runs, names, Ks, strict=True)
    ]
    refuse_misfits(named, {run.dataset: [metric] for run in named})
    systems: dict[str, dict[int, list[float]]] = {}  # by system without its K, then by K
    for run, name, K in zip(runs, names, Ks, strict=True):
        systems.setdefault(name, {}).setdefault(K, []).append(run.result.scores[metric])
    datasets = sorted({run.dataset for run in runs})
    if len(datasets) > 1:
        raise UserError(f"the results are of {' and '.join(datasets)}: draw one at a time")

    figure, axes = new_figure(
        "passes K", f"{runs[0].result.measure(metric).axis}, {subset} {datasets[0]}"
    )
    styles, names = line_styles(systems)
    handles = {}
    for system, style in styles.items():
        scores = dict(sorted(systems[system].items()))
        means = [fmean(values) for values in scores.values()]
        sds = [stdev(values) if len(values) > 1 else 0 for values in scores.values()]
        if list(scores) == [1]:
            handles[names[system]] = axes.axhline(means[0], **style | {"linestyle": "--"})
            axes.axhspan(means[0] - sds[0], means[0] + sds[0], color=style["color"], alpha=0.15)
        else:
            bars = axes.errorbar(list(scores), means, sds, marker="o", capsize=3, **style)
            handles[names[system]] = bars
    axes.xaxis.get_major_locator().set_params(integer=True)
    add_names(figure, handles)
    result = runs[0].result
    seeds = sorted({len(values) for scores in systems.values() for values in scores.values()})
    notes = [str(result.search)] if result.search else []
    if seeds != [1]:
        n = "–".join(map(str, dict.fromkeys([seeds[0], seeds[-1]])))
        notes.append(f"mean ± standard deviation over the seeds (n = {n})")
    note = "\n".join(filter(None, [result.signatures[metric], ", ".join(notes)]))
    add_note(figure, note)
    return figure


def plot_alpha(config: Path, overrides: list[str], updates: int | None) -> Figure:
    """Draw α′ over training, equation (11), and mark where it passes 1 and where it reaches α."""
    schedule, N = read_schedule(config, overrides, updates)
    marks = {}
    if schedule.adaptive:
        marks = {"N/q": N / schedule.q, "N/p": N / schedule.p}
        marks = {name: update for name, update in marks.items() if update <= N}
    updates = {round(N * i / POINTS) for i in range(POINTS + 1)} | {*map(round, marks.values())}
    updates = sorted(updates)

    figure, axes = new_figure("update", "α′, weight of the divergence")
    label = f"α = {schedule.alpha:g}"
    if schedule.adaptive:
        label += f", p = {schedule.p:g}, q = {schedule.q:g}: γ = {schedule.gamma:.2f}, N = {N}"
    alphas = [schedule(update, N) for update in updates]
    (line,) = axes.plot(updates, alphas, color=LINE_COLOURS[-2], linewidth=2)
    for name, update in marks.items():
        alpha = schedule(update, N)
        axes.plot(update, alpha, "o", color="black", markersize=4)
        axes.annotate(
            f"{name} = {update:.0f}: α′ = {alpha:g}",
            (update, alpha),
            (8, -10),
            textcoords="offset points",
        )
    axes.set_ylim(bottom=0)
    add_names(figure, {label: line})
    return figure


def read_schedule(
    config: Path, overrides: list[str], updates: int | None
) -> tuple[AlphaSchedule, int]:
    """Read the schedule of α′ from a configuration, and N, the number of updates.

    Raises:
        UserError: there is no α or no N, or they do not make a schedule
    """
    values = load_config(config, overrides)
    criterion, optimization = (values.get(group) or {} for group in ("criterion", "optimization"))
    if not (isinstance(criterion, dict) and isinstance(optimization, dict)):
        raise UserError(f"{config}: criterion and optimization must be groups of KEY: VALUE")
    if "alpha" not in criterion:
        raise UserError(f"{config} has no criterion.alpha: it is not of an intra-distilled system")
    if updates is None and optimization.get("max_epoch"):
        raise UserError(f"{config} has a max_epoch: give the number of updates by --updates")
    names = ["alpha", "alpha_p", "alpha_q", "constant_alpha"]
    values = [criterion.get(name, getattr(ObjectiveConfig, name)) for name in names]
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, (int, float)):
            raise UserError(f"{config}: criterion.{name} must be a number, not {value!r}")
    try:
        N = int(optimization.get("max_update") or 0) if updates is None else updates
        schedule = AlphaSchedule(*values)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{config}: {error}") from error
    if N < 1:
        raise UserError("α′ needs the run's length: give optimization.max_update, or --updates")
    return schedule, N


def new_figure(x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.7, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y, **AS_IT_IS)
    axes.grid(color="#DDDDDD", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def line_styles(systems: Iterable[str]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Choose the line style and the name in the legend for each system.

    Names leave out the group of an override, such as ``task.``, if they stay different.
    """
    n = len(LINE_COLOURS)
    systems = list(dict.fromkeys(systems))
    styles = {
        system: {
            "color": LINE_COLOURS[i % n],
            "linestyle": LINE_STYLES[i // n % len(LINE_STYLES)],
        }
        for i, system in enumerate(systems)
    }
    short = {system: System.of(system).label for system in systems}
    names = short if len(set(short.values())) == len(systems) else dict(zip(systems, systems))
    return styles, names


def xy(points: dict[int, float]) -> tuple[list[int], list[float]]:
    return list(points), list(points.values())


def add_names(figure: Figure, handles: dict[str, Any]) -> None:
    """Add a legend with as many columns as the names leave room for."""
    longest = max(map(len, handles))
    columns = 1 if longest > 30 else 2 if longest > 18 else 3
    add_legend(figure, handles, ncols=columns, fontsize=9)


def add_note(figure: Figure, text: str) -> None:
    """Write how a picture was made, or where its numbers come from, below it."""
    figure.supxlabel(text, fontsize=7, color="#555555", **AS_IT_IS)
