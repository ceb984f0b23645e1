"""Checkpoint averaging: one checkpoint with the mean parameters of several."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import torch
from fairseq import utils
from torch import Tensor

from ..checkpoints import configuration, num_updates, read_checkpoint
from ..errors import UserError
from ..files import read_lines, sha256

EPOCH_CHECKPOINT = re.compile(r"checkpoint(\d+)\.pt")
UPDATE_CHECKPOINT = re.compile(r"checkpoint_\d+_(\d+)\.pt")


def last_checkpoints(
    folder: Path, number: int, pattern: re.Pattern[str], upper_bound: int | None = None
) -> list[Path]:
    """Find the last checkpoints of a folder, the oldest first.

    Args:
        folder: where fairseq-train saved
        number: how many to find
        pattern: of their names; its group is the epoch or the number of updates
        upper_bound: the largest epoch or number of updates to take
    Raises:
        UserError: there are too few
    """
    found = sorted(
        (int(match[1]), path)
        for path in folder.iterdir()
        if (match := pattern.fullmatch(path.name))
        and (upper_bound is None or int(match[1]) <= upper_bound)
    )
    if not 1 <= number <= len(found):
        raise UserError(
            f"{number} checkpoints are asked for: {folder} has {len(found)} called "
            f"{pattern.pattern}"
        )
    return [path for _, path in found[-number:]]


def average(paths: list[Path]) -> dict[str, Any]:
    """Average the parameters of several checkpoints.

    Checkpoints are read one at a time and summed in float64; the mean has the parameters' dtype.
    Everything else, such as integer counters, comes from the checkpoint with the most updates.

    Raises:
        UserError: a file is missing, not a checkpoint or given twice, differs from the first in
            its parameters or its training data, or has values that are NaN or infinite
    """
    sums: dict[str, Tensor] = {}
    shapes: dict[str, torch.Size] = {}
    averaged_from: list[dict[str, Any]] = []
    newest: dict[str, Any] | None = None
    first_task: dict[str, Any] | None = None
    for path in paths:
        state = read_checkpoint(path)
        digest = sha256(path)
        for earlier in averaged_from:
            if earlier["sha256"] == digest:
                raise UserError(f"{path} is the same as {earlier['path']}: name one of them")
        averaged_from.append({"path": str(path), "sha256": digest, "updates": num_updates(state)})
        shapes = shapes or {name: tensor.shape for name, tensor in state["model"].items()}
        refuse_other_model(path, state["model"], paths[0], shapes)
        task = configuration(state, "task")
        first_task = first_task or task
        refuse_other_data(path, task, paths[0], first_task)
        for name, tensor in state["model"].items():
            if tensor.is_floating_point():
                if not tensor.isfinite().all():
                    raise UserError(f"{path}: {name} has values that are NaN or infinite")
                sums[name] = (
                    sums[name].add_(tensor) if name in sums else tensor.to(torch.float64, copy=True)
                )
        if newest is None or num_updates(state) > num_updates(newest):
            newest = state

    means = {
        name: (sums.pop(name) / len(paths)).to(tensor.dtype) if name in sums else tensor
        for name, tensor in newest["model"].items()
    }
    newest["extra_state"]["averaged_from"] = averaged_from
    newest.pop("last_optimizer_state", None)
    return {**newest, "model": share_memory(means, like=newest["model"])}


def refuse_other_model(
    path: Path, model: dict[str, Tensor], first_path: Path, first_shapes: dict[str, torch.Size]
) -> None:
    """Refuse a model with other parameters than the first one: other names or shapes."""
    for name in sorted(first_shapes.keys() ^ model.keys()):
        owner, other = (path, first_path) if name in model else (first_path, path)
        raise UserError(f"{other} is of another model than {owner}: it has no {name}")
    for name, shape in first_shapes.items():
        if model[name].shape != shape:
            raise UserError(
                f"{path} is of another model than {first_path}: its {name} is "
                f"{list(model[name].shape)}, not {list(shape)}"
            )


def refuse_other_data(
    path: Path, task: dict[str, Any], first_path: Path, first_task: dict[str, Any]
) -> None:
    """Refuse a model that was trained with other dictionaries than the first one.

    A checkpoint does not contain its dictionaries. They are read from the data of the training; if
    that is gone or damaged, a warning is printed.
    """
    for side in ("source_lang", "target_lang"):
        ours, theirs = task.get(side), first_task.get(side)
        if ours and theirs and ours != theirs:  # None if fairseq inferred it from the data
            raise UserError(f"{path} is of other data than {first_path}: {ours}, not {theirs}")
    folder, first_folder = (data_folder(each) for each in (task, first_task))
    if folder is None or first_folder is None or folder == first_folder:
        return
    try:
        ours, theirs = read_dictionaries(folder), read_dictionaries(first_folder)
    except UserError as error:
        print(f"{path} and {first_path} may be of other data: {error}", file=sys.stderr)
        return
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            raise UserError(
                f"{path} is of other data than {first_path}: {folder / name} is not "
                f"{first_folder / name}"
            )


def read_dictionaries(data: Path) -> dict[str, list[str]]:
    """Read the words of fairseq's dictionaries in a folder, without their counts, by file.

    Raises:
        UserError: there is none, or one cannot be read
    """
    files = list(data.glob("dict*.txt"))
    if not files:
        raise UserError(f"{data} is not there any more, or has no dictionary to compare")
    return {file.name: [line.rpartition(" ")[0] for line in read_lines(file)] for file in files}


def data_folder(task: dict[str, Any]) -> Path | None:
    """The data directory that a task was trained on, or the first of its shards."""
    data = task.get("data")
    return Path(os.path.realpath(utils.split_paths(data)[0])) if isinstance(data, str) else None


def share_memory(model: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tie equal tensors that share memory in another model, such as tied embeddings."""
    owners: dict[tuple, str] = {}
    shared = {}
    for name, tensor in like.items():
        owner = owners.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride()), name)
        shared[name] = model[owner if torch.equal(model[owner], model[name]) else name]
    return shared
