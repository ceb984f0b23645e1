"""draw validation curves, BLEU against K, sensitivity over training, and the curve of α′

All but the last are drawn from what runs leave behind: what fairseq-train wrote, kept as
``train.log`` in the folder of the run, and the results of evaluate beside it. A run that was
resumed goes on in the same log, and where it repeats updates the later ones count.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from ..core.schedule import AlphaSchedule
from ..criterions.objective import ObjectiveConfig
from . import UserError
from .args import load_config
from .grid import Run, gather, refuse_misfits
from .picture import AS_IT_IS, COLOURS, add_legend, check_picture, save_picture

if TYPE_CHECKING:  # no other command has to wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG = "train.log"
STATISTIC = re.compile(r"([A-Za-z_]\w*)[ =]([^\s,|]+)")
VALIDATION = {  # what fairseq logs, and in which unit
    "loss": "loss (bits per token)",
    "nll_loss": "negative log-likelihood (bits per token)",
    "ppl": "perplexity",
}
GROUPS = {"sensitivity_top": ("top 20 %", "-"), "sensitivity_rest": ("the rest", "--")}
LINE_COLOURS = [colour for colour in COLOURS if colour != "#F0E442"]  # too light for a line
LINE_STYLES = ["-", "--", ":"]  # the next where the colours are used up
POINTS = 500  # of the curve of α′


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


# The command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the pictures, each with its options."""
    pictures = parser.add_subparsers(title="pictures", metavar="PICTURE", required=True)

    loss = add_picture(pictures, "loss", plot_loss, "validation loss over training (Figure 7)")
    add_logs(loss)
    loss.add_argument(
        "--log-key",
        choices=VALIDATION,
        default="loss",
        help="what of the validation is drawn (default: %(default)s)",
    )
    loss.add_argument(
        "--valid-subset", default="valid", metavar="SUBSET", help="default: %(default)s"
    )

    bleu = add_picture(pictures, "bleu", plot_bleu, "BLEU against the number of passes (Figure 8)")
    bleu.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help=f"result of intra-distill evaluate with the run's {LOG} beside it, which says K, or "
        "folder to search for results",
    )
    bleu.add_argument(
        "--gen-subset",
        default="test",
        metavar="SUBSET",
        help="search folders for SUBSET.json (default: %(default)s)",
    )

    sensitivity = add_picture(
        pictures,
        "sensitivity",
        plot_sensitivity,
        "sensitivity over training, of runs with --track-sensitivity (Figure 2)",
    )
    add_logs(sensitivity)

    alpha = add_picture(pictures, "alpha", plot_alpha, "α′ of a configuration (Figure 4)")
    alpha.add_argument("config", type=Path, metavar="CONFIG", help="configuration file (YAML)")
    alpha.add_argument(
        "overrides",
        nargs="*",
        metavar="GROUP.KEY=VALUE",
        help="values to put in place of the file's, such as criterion.alpha=3",
    )
    alpha.add_argument(
        "--updates",
        type=int,
        metavar="N",
        help="the length of the run (default: the configuration's max_update)",
    )


def add_picture(
    pictures: Any, name: str, draw: Callable[[argparse.Namespace], Figure], what: str
) -> argparse.ArgumentParser:
    parser = pictures.add_parser(name, help=what, description=f"Draw {what}.")
    parser.add_argument(
        "--plot",
        type=Path,
        required=True,
        metavar="FILE",
        help="the picture, of the type that the name ends with, such as .png",
    )
    parser.set_defaults(draw=draw)
    return parser


def add_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="RUN",
        help=f"log of fairseq-train, or folder to search for {LOG}",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    check_picture(args.plot)
    save_picture(args.draw(args), args.plot)


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


def num_passes(result: Path) -> int:
    """K of the run that a result is of, from the configuration that fairseq logs at the start."""
    log = result.with_name(LOG)
    if not log.is_file():
        raise UserError(f"{log} is not there, which would say the K of {result.name} beside it")
    starts = [line for line in read_log(log) if " | fairseq_cli.train | {" in line]
    if not starts:
        raise UserError(f"{log} does not begin with the configuration of the run, which says its K")
    found = re.search(r"'num_passes': (\d+)", starts[-1])
    return int(found[1]) if found else 1


# The pictures


def plot_loss(args: argparse.Namespace) -> Figure:
    """A line for each run, the seeds of a system in one colour."""
    subset = args.valid_subset
    remedy = "let them validate, and name the subset with --valid-subset"
    curves = curves_of(read_logs(args.paths), subset, args.log_key, remedy)
    figure, axes = new_figure("update", f"{subset} {VALIDATION[args.log_key]}")
    styles, names = line_styles(curve.system for curve in curves)
    handles = {}
    for curve in curves:
        (handles[names[curve.system]],) = axes.plot(*xy(curve), **styles[curve.system])
    if args.log_key == "ppl":
        axes.set_yscale("log")
    add_names(figure, handles)
    return figure


def plot_sensitivity(args: argparse.Namespace) -> Figure:
    """Two lines for each run: solid the top 20 %, dashed the rest."""
    from matplotlib.lines import Line2D

    logs, remedy = read_logs(args.paths), "train with --track-sensitivity 100"
    figure, axes = new_figure("update", "mean |θ ⊙ g| (nats per token)")
    styles, names = line_styles(log.system for log in logs)
    handles = {}
    for key, (_, dashes) in GROUPS.items():
        for curve in curves_of(logs, "train_inner", key, remedy):
            (line,) = axes.plot(*xy(curve), **styles[curve.system] | {"linestyle": dashes})
            handles.setdefault(names[curve.system], line)
    axes.set_yscale("log")
    groups = {name: Line2D([], [], color="k", linestyle=dashes) for name, dashes in GROUPS.values()}
    add_names(figure, handles | groups)
    return figure


def plot_bleu(args: argparse.Namespace) -> Figure:
    """Mean ± standard deviation over the seeds; a system of one pass alone is a line across."""
    runs = gather(args.paths, args.gen_subset)
    systems: dict[str, dict[int, list[float]]] = {}  # by system, but for its K, and K
    named = []
    for run in runs:
        K = num_passes(run.path)
        system = re.sub(r"\+task\.num_passes=\d+", "", run.system)
        systems.setdefault(system, {}).setdefault(K, []).append(run.result.scores["BLEU"])
        named.append(Run(run.path, replace(run.result, system=f"{system} with K = {K}")))
    refuse_misfits(named)
    pairs = sorted({run.pair for run in runs})
    if len(pairs) > 1:
        raise UserError(f"the results are of {' and '.join(pairs)}: draw one pair at a time")

    figure, axes = new_figure("passes K", f"BLEU (0–100), {args.gen_subset} {pairs[0]}")
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
    note = f"{result.signatures['BLEU']}\nbeam {result.beam}, length penalty {result.lenpen:g}"
    if seeds != [1]:
        n = "–".join(map(str, dict.fromkeys([seeds[0], seeds[-1]])))
        note += f", mean ± standard deviation over the seeds (n = {n})"
    figure.supxlabel(note, fontsize=7, color="#555555")
    return figure


def plot_alpha(args: argparse.Namespace) -> Figure:
    """α′, and where it passes 1 and reaches α."""
    schedule, N = read_schedule(args.config, args.overrides, args.updates)
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
    """The schedule of a configuration and its N.

    Raises:
        UserError: the configuration has no α, or no N and none is given, or they make no schedule
    """
    values = load_config(config, overrides)
    criterion, optimization = (values.get(group) or {} for group in ("criterion", "optimization"))
    if not (isinstance(criterion, dict) and isinstance(optimization, dict)):
        raise UserError(f"{config}: criterion and optimization must be groups of KEY: VALUE")
    if "alpha" not in criterion:
        raise UserError(f"{config} has no criterion.alpha: it is of no intra-distilled system")
    if updates is None and optimization.get("max_epoch"):
        raise UserError(f"{config} has a max_epoch: say with --updates how many that makes")
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
        raise UserError("α′ takes a run with an end: give optimization.max_update, or --updates")
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
    """How the lines of each system look, and what they are called.

    Of overrides in a name the group is left out, where that leaves the names different.
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
    short = {system: re.sub(r"\+\w+\.", " ", system) for system in systems}
    names = short if len(set(short.values())) == len(systems) else dict(zip(systems, systems))
    return styles, names


def xy(curve: Curve) -> tuple[list[int], list[float]]:
    return list(curve.points), list(curve.points.values())


def add_names(figure: Figure, handles: dict[str, Any]) -> None:
    """A legend in as many columns as the names leave room for."""
    longest = max(map(len, handles))
    columns = 1 if longest > 30 else 2 if longest > 18 else 3
    add_legend(figure, handles, ncols=columns, fontsize=9)
