"""Pruned models, section 5.1: which parameters are removed, and what the model then scores."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...checkpoints import load_model, read_checkpoint, save_checkpoint
from ...core.pruning import least
from ...errors import UserError
from ...files import read_json, sha256, write_json
from ..options import make_directory
from ..scoring.evaluation import Scoring, is_output_of, make_result
from ..scoring.evaluator import Evaluator
from ..scoring.results import Result, read_result, write_result
from .parameter_scores import ParameterScores, read_scores

KEPT, SCRATCH = "checkpoint.pt", "scratch.pt"
ORDERS = ("sensitivity", "magnitude", "random")


@dataclass(frozen=True)
class Unpruned:
    """A checkpoint to prune, and the file of its scores."""

    name: str
    checkpoint: Path
    sha256: str
    parameters: int  # n, with tied parameters counted once
    sensitivity: Path | None
    sensitivity_sha256: str | None


@dataclass(frozen=True)
class Pruning:
    """A pruned model: ⌊ratio · n⌋ of its parameters, the first in an order, are zero."""

    system: Unpruned
    order: str
    ratio: Decimal
    seed: int

    @property
    def removed(self) -> int:
        """⌊ratio · n⌋ without rounding errors."""
        return math.floor(Fraction(self.ratio) * self.system.parameters)

    @property
    def folder(self) -> Path:
        """The folder of its results, relative to the folder of all results."""
        if not self.ratio:
            return Path(self.system.name, "unpruned")
        return Path(self.system.name, self.order, f"{self.ratio:f}")

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that the pruned model depends on."""
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
    evaluator: Evaluator,
    subset: str,
) -> list[Unpruned]:
    """Check all checkpoints, and find the scores of each.

    Args:
        checkpoints: by the systems' names
        sensitivity: files of scores, in any order
        evaluator: of the data
        subset: to evaluate on
    Raises:
        UserError: a checkpoint does not fit the subset, is given twice, or has no matching scores
    """
    scores = {path: read_scores(path) for path in sensitivity}
    systems: list[Unpruned] = []
    for name, path in checkpoints.items():
        checkpoint = evaluator.open(path)
        evaluator.refuse_misfit(checkpoint, subset)
        for other in systems:
            if other.sha256 == checkpoint.sha256:
                raise UserError(f"{path} is the same as {other.checkpoint}: name one of them")
        own = [file for file in scores if scores[file].checkpoint_sha256 == checkpoint.sha256]
        if scores and not own:
            raise UserError(
                f"--sensitivity: no file has the scores of {path} as it is now: make one by "
                "intra-distill sensitivity"
            )
        if own:
            refuse_other_scores(own[0], scores[own[0]], path, checkpoint.model)
        systems.append(
            Unpruned(
                name=name,
                checkpoint=path,
                sha256=checkpoint.sha256,
                parameters=checkpoint.record.parameters,
                sensitivity=own[0] if own else None,
                sensitivity_sha256=sha256(own[0]) if own else None,
            )
        )
    return systems


def refuse_other_scores(
    path: Path, scores: ParameterScores, checkpoint: Path, model: nn.Module
) -> None:
    """Refuse scores that do not match a model's parameters, or are negative, NaN or infinite."""
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
            raise UserError(f"{path}: {name} has scores that are negative, NaN or infinite")


def refuse_own_checkpoints(prunings: Iterable[Pruning], results_path: Path) -> None:
    """Refuse a results folder in which a checkpoint to prune would be overwritten."""
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


def score_parameters(pruning: Pruning, model: nn.Module) -> dict[str, Tensor]:
    """The scores that order the parameters, by the names in the model; the smallest go first."""
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


def write_pruned(pruning: Pruning, evaluator: Evaluator, output: Path) -> None:
    """Write the pruned checkpoint, which fairseq loads like any other.

    fairseq builds the model, so that a tied parameter is pruned under all its names.
    """
    path = pruning.system.checkpoint
    state = read_checkpoint(path)
    model = load_model(path, evaluator.task_of(path, state))
    removed = least(score_parameters(pruning, model), pruning.removed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.masked_fill_(removed[name], 0)
    parameters = model.state_dict()
    for average in ("ema", "ema_fp32_params"):  # of --store-ema, which fine-tuning goes on with
        for name, tensor in state["extra_state"].get(average, {}).items():
            tensor.masked_fill_(parameters[name] == 0, 0)
    state["extra_state"]["pruned_from"] = pruning.identity
    state.pop("last_optimizer_state", None)
    save_checkpoint(output, {**state, "model": parameters})


def evaluate_pruned(
    pruning: Pruning,
    evaluator: Evaluator,
    scoring: Scoring,
    results_path: Path,
    keep: bool,
) -> Result:
    """Read the stored result of a pruned model, or prune, run and score.

    Args:
        pruning: the model
        evaluator: of the data
        scoring: the test set and the metrics
        results_path: the folder of all results
        keep: whether to keep the pruned checkpoint beside the result
    """
    folder = results_path / pruning.folder
    make_directory(folder)
    subset = scoring.test_set.subset
    result = stored_result(folder, pruning, evaluator, scoring)
    keep = keep and bool(pruning.ratio)
    if result and (not keep or is_written(folder / KEPT, pruning)):
        (folder / SCRATCH).unlink(missing_ok=True)  # left by a killed process
        return result

    checkpoint = pruning.system.checkpoint
    if pruning.ratio:
        checkpoint = folder / (KEPT if keep else SCRATCH)
        write_pruned(pruning, evaluator, checkpoint)
    try:
        if result is None:
            opened = evaluator.open(checkpoint)
            result = make_result(opened, str(pruning.folder), evaluator, scoring, folder)
            write_result(folder / f"{subset}.json", result)
            record = {**pruning.identity, "evaluated_sha256": result.checkpoint.sha256}
            write_json(folder / f"pruning-{subset}.json", record)
    finally:
        if pruning.ratio and not keep:
            checkpoint.unlink()
    return result


def stored_result(
    folder: Path, pruning: Pruning, evaluator: Evaluator, scoring: Scoring
) -> Result | None:
    """Read the result in a folder; None unless its model, test set, options and metrics match.

    What is missing or damaged is made again.
    """
    record_path = folder / f"pruning-{scoring.test_set.subset}.json"
    result_path = folder / f"{scoring.test_set.subset}.json"
    try:
        result, recorded = read_result(result_path), read_json(record_path)
    except (UserError, OSError, ValueError):
        return None
    record = {**pruning.identity, "evaluated_sha256": result.checkpoint.sha256}
    as_asked = is_output_of(result, folder, evaluator, scoring.test_set)
    # in this order: the first metric is the primary one
    as_asked = as_asked and list(result.signatures.items()) == list(scoring.signatures.items())
    return result if as_asked and recorded == record else None


def is_written(path: Path, pruning: Pruning) -> bool:
    """Whether a file is the pruned checkpoint; one that is missing or damaged is not."""
    try:
        state = read_checkpoint(path)
    except UserError:
        return False
    return state["extra_state"].get("pruned_from") == pruning.identity
