"""Pruned models: made, evaluated and shown against the share that is removed."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.tasks.translation import TranslationTask
from omegaconf import DictConfig
from torch import Tensor, nn

from ...checkpoints import read_checkpoint, save_checkpoint
from ...core.pruning import least
from ...errors import UserError
from ...files import read_json, sha256, write_json
from ..options import make_directory
from ..reports.markdown import difference, escape, table_text
from ..reports.picture import AS_IT_IS, COLOURS, add_legend, save_picture
from ..scoring.evaluation import Scoring, is_translated, translate_and_score
from ..scoring.inputs import inspect_checkpoint
from ..scoring.metrics import METRICS
from ..scoring.results import Result, TestSet, read_result, write_result
from ..scoring.search import Search
from .parameter_scores import ParameterScores, read_scores

KEPT, SCRATCH = "checkpoint.pt", "scratch.pt"
ORDERS = {"sensitivity": "o-", "magnitude": "^--", "random": "s:"}  # as they are drawn


@dataclass(frozen=True)
class Unpruned:
    """A checkpoint that is pruned."""

    name: str
    checkpoint: Path
    sha256: str
    parameters: int  # n: those that are tied counted once
    sensitivity: Path | None
    sensitivity_sha256: str | None


@dataclass(frozen=True)
class Pruning:
    """A pruned model."""

    system: Unpruned
    order: str
    ratio: Decimal
    seed: int

    @property
    def removed(self) -> int:
        """⌊ratio · n⌋, exactly."""
        return math.floor(Fraction(self.ratio) * self.system.parameters)

    @property
    def folder(self) -> Path:
        """Where its results are, in the folder of all."""
        if not self.ratio:
            return Path(self.system.name, "unpruned")
        return Path(self.system.name, self.order, f"{self.ratio:f}")

    @property
    def identity(self) -> dict[str, Any]:
        """All that it depends on."""
        identity = {
            "checkpoint_sha256": self.system.sha256,
            "parameters": self.system.parameters,
            "removed": self.removed,
        }
        if self.ratio:
            identity["order"] = self.order
            if self.order == "sensitivity":
                identity["sensitivity_sha256"] = self.system.sensitivity_sha256
            if self.order == "random":
                identity["seed"] = self.seed
        return identity


def open_systems(
    checkpoints: dict[str, Path],
    sensitivity: list[Path],
    cfg: DictConfig,
    task: TranslationTask,
    test_set: TestSet,
) -> list[Unpruned]:
    """Make sure that all checkpoints and scores can be used.

    Args:
        checkpoints: by the systems' names
        sensitivity: files of scores, which may stand in another order than the checkpoints
        cfg: of fairseq's generator
        task: of the data
        test_set: what is translated
    """
    scores = {path: read_scores(path) for path in sensitivity}
    systems: list[Unpruned] = []
    for name, path in checkpoints.items():
        checkpoint = inspect_checkpoint(path, cfg, test_set)
        for other in systems:
            if other.sha256 == checkpoint.sha256:
                raise UserError(f"{path} is the same as {other.checkpoint}: name one of them")
        own = [file for file in scores if scores[file].checkpoint_sha256 == checkpoint.sha256]
        if scores and not own:
            raise UserError(
                f"--sensitivity: no file is of {path} as it is now: make one by "
                "intra-distill sensitivity"
            )
        if own:
            refuse_other_scores(own[0], scores[own[0]], path, load_model(path, task))
        systems.append(
            Unpruned(
                name=name,
                checkpoint=path,
                sha256=checkpoint.sha256,
                parameters=checkpoint.parameters,
                sensitivity=own[0] if own else None,
                sensitivity_sha256=sha256(own[0]) if own else None,
            )
        )
    return systems


def refuse_other_scores(
    path: Path, scores: ParameterScores, checkpoint: Path, model: nn.Module
) -> None:
    """Refuse scores that are not one for each parameter of a model, and at least 0."""
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    for name in sorted(shapes.keys() ^ scores.tensors.keys()):
        owner, other = (checkpoint, path) if name in shapes else (path, checkpoint)
        raise UserError(f"{path} is not of {checkpoint}: {owner} has {name}, {other} has not")
    for name, tensor in scores.tensors.items():
        if tensor.shape != shapes[name] or tensor.dtype != torch.float32:
            raise UserError(
                f"{path} is not of {checkpoint}: its {name} is {list(tensor.shape)} "
                f"{tensor.dtype}, not {list(shapes[name])} torch.float32"
            )
        if not ((tensor >= 0) & tensor.isfinite()).all():
            raise UserError(f"{path}: {name} has scores that are negative or no number")


def refuse_own_checkpoints(prunings: Iterable[Pruning], results_path: Path) -> None:
    """Refuse to write over a checkpoint that is to be pruned."""
    written = {
        os.path.realpath(results_path / pruning.folder / name)
        for pruning in prunings
        for name in (KEPT, SCRATCH)
    }
    for checkpoint in (pruning.system.checkpoint for pruning in prunings):
        if os.path.realpath(checkpoint) in written:
            raise UserError(
                f"--results-path {results_path}: {checkpoint} would be written over: take "
                "another folder"
            )


# The pruned models


def load_model(path: Path, task: TranslationTask) -> nn.Module:
    (model,), _ = checkpoint_utils.load_model_ensemble([str(path)], task=task)
    return model


def score_parameters(pruning: Pruning, model: nn.Module) -> dict[str, Tensor]:
    """What the parameters are ordered by, under the names that they have in the model."""
    if pruning.order == "sensitivity":
        tensors = read_scores(pruning.system.sensitivity).tensors
        return {name: tensors[name] for name, _ in model.named_parameters()}
    if pruning.order == "magnitude":
        return {name: p.detach().float().abs() for name, p in model.named_parameters()}
    generator = torch.Generator().manual_seed(pruning.seed)
    return {
        name: torch.rand(parameter.shape, generator=generator)
        for name, parameter in model.named_parameters()
    }


def write_pruned(pruning: Pruning, task: TranslationTask, output: Path) -> None:
    """Write the checkpoint without what is removed, which fairseq loads as any other.

    The model is fairseq's own, so that tied parameters are pruned once for all their names.
    """
    state = read_checkpoint(pruning.system.checkpoint)
    model = load_model(pruning.system.checkpoint, task)
    removed = least(score_parameters(pruning, model), pruning.removed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.masked_fill_(removed[name], 0)
    state["extra_state"]["pruned_from"] = pruning.identity
    state.pop("last_optimizer_state", None)
    save_checkpoint(output, {**state, "model": model.state_dict()})


def evaluate_pruned(
    pruning: Pruning,
    data: Path,
    search: Search,
    scoring: Scoring,
    task: TranslationTask,
    results_path: Path,
    keep: bool,
) -> Result:
    """The result of a pruned model: the one that is there, or else a new one.

    Args:
        pruning: the model
        data: the data directory
        search: how it translates
        scoring: what it translates, and in which metrics that is scored
        task: what the checkpoint is loaded for
        results_path: the folder of all results
        keep: leave its checkpoint beside the result
    """
    folder = results_path / pruning.folder
    make_directory(folder)
    subset = scoring.test_set.subset
    result = stored_result(folder, pruning, search, scoring)
    keep = keep and bool(pruning.ratio)
    if result and (not keep or is_written(folder / KEPT, pruning)):
        (folder / SCRATCH).unlink(missing_ok=True)  # a kill at the last moment left it
        return result

    checkpoint = pruning.system.checkpoint
    if pruning.ratio:
        checkpoint = folder / (KEPT if keep else SCRATCH)
        write_pruned(pruning, task, checkpoint)
    try:
        if result is None:
            system = str(pruning.folder)
            result = translate_and_score(checkpoint, system, data, search, scoring, folder)
            write_result(folder / f"{subset}.json", result)
            record = {**pruning.identity, "evaluated_sha256": result.checkpoint.sha256}
            write_json(folder / f"{subset}.pruning.json", record)
    finally:
        if pruning.ratio and not keep:
            checkpoint.unlink()
    return result


def stored_result(
    folder: Path, pruning: Pruning, search: Search, scoring: Scoring
) -> Result | None:
    """The result in a folder, where it is of this model, test set, search and metrics."""
    record_path = folder / f"{scoring.test_set.subset}.pruning.json"
    result_path = folder / f"{scoring.test_set.subset}.json"
    if not (record_path.is_file() and result_path.is_file()):
        return None
    result = read_result(result_path)
    record = {**pruning.identity, "evaluated_sha256": result.checkpoint.sha256}
    as_asked = is_translated(result, folder, search, scoring.test_set)
    as_asked = as_asked and result.signatures == scoring.signatures
    return result if as_asked and read_json(record_path) == record else None


def is_written(path: Path, pruning: Pruning) -> bool:
    return (
        path.is_file()
        and read_checkpoint(path)["extra_state"].get("pruned_from") == pruning.identity
    )


# What is shown


def curves(
    prunings: Iterable[Pruning], results: dict[Path, Result]
) -> dict[tuple[str, str], dict[Decimal, Result]]:
    """By system and order, the result of each ratio."""
    curves: dict[tuple[str, str], dict[Decimal, Result]] = {}
    for pruning in prunings:
        curve = curves.setdefault((pruning.system.name, pruning.order), {})
        curve[pruning.ratio] = results[pruning.folder]
    return curves


def label(system: str, order: str, orders: Iterable[str]) -> str:
    """What a curve is called: its order counts where there is another than sensitivity."""
    return system if set(orders) == {"sensitivity"} else f"{system}, {order}"


def as_json(prunings: list[Pruning], results: dict[Path, Result]) -> dict[str, Any]:
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
                "cut_hypotheses": result.cut_hypotheses,
                "changes": {
                    metric: score - whole.scores[metric] for metric, score in result.scores.items()
                },
            }
        )
    return {
        "data": first.test_set.data,
        "subset": first.test_set.subset,
        "beam": first.beam,
        "lenpen": first.lenpen,
        "limit_of_length": first.limit_of_length,
        "signatures": first.signatures,
        "models": models,
    }


def pruning_table(prunings: list[Pruning], results: dict[Path, Result]) -> str:
    """The primary metric by ratio, a column for each curve, and below what it is."""
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
        f"{first.test_set.subset}, beam {first.beam}, length penalty {first.lenpen:g}",
        "removed: the share of all parameters that is set to zero, over the model as a whole",
    ]
    cut = {folder: each.cut_hypotheses for folder, each in results.items() if each.cut_hypotheses}
    if cut:
        numbers = ", ".join(f"{escape(str(folder))} {number}" for folder, number in cut.items())
        notes.append(f"hypotheses cut at {first.limit_of_length}: {numbers}")
    return "\n".join([table_text(rows), "", *(f"- {note}" for note in notes)])


def draw_pruning(path: Path, prunings: list[Pruning], results: dict[Path, Result]) -> None:
    """Draw the primary metric, and beside it its change, against the share that is removed."""
    from matplotlib.figure import Figure  # here, since no other command has to wait for it

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
        (handles[label(system, order, orders)],) = left.plot(
            removed, scores, ORDERS[order], **style
        )
        right.plot(removed, [score - scores[0] for score in scores], ORDERS[order], **style)
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
