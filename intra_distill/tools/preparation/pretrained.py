"""The files of a pretrained model that fairseq starts from: its checkpoint and its sizes."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from ...checkpoints import save_checkpoint
from ...errors import UserError
from ...files import write_lines
from ...models.pretrained_encoder import PretrainedEncoderModel

MODEL, SIZES = "model.pt", "model.yaml"
NOT_SIZES = {"max_positions", "checkpoint_activations"}  # and what ends with "dropout"


def behind_padding(positions: Tensor, padding_idx: int) -> Tensor:
    """Put empty rows before the embeddings of positions, which fairseq counts from padding on.

    Args:
        positions: (P, d), of position 0 first
    Returns:
        (padding_idx + 1 + P, d)
    """
    return torch.cat([positions.new_zeros(padding_idx + 1, positions.size(1)), positions])


def load_weights(
    model: PretrainedEncoderModel, tensors: dict[str, Tensor], source: Path, sizes_of: str
) -> None:
    """Copy weights into a model without heads.

    Args:
        tensors: by the names of the model's parameters; others are left out
        source: of the weights, for messages
        sizes_of: the files that the sizes of the model are from, for messages
    Raises:
        UserError: a tensor is missing or has another shape
    """
    for name, parameter in model.named_parameters():
        if name not in tensors:
            raise UserError(
                f"{source}: the weights are not those of --arch {model.ARCH}, or not all of them: "
                f"no {name}"
            )
        theirs, ours = list(tensors[name].shape), list(parameter.shape)
        if theirs != ours:
            raise UserError(
                f"{source}: {name} is {theirs} in the weights, but {ours} by {sizes_of}"
            )
        parameter.data.copy_(tensors[name])


def write_model(folder: Path, model: PretrainedEncoderModel) -> None:
    """Write model.pt and model.yaml, the sizes as a configuration, into a folder."""
    options = {option.name: getattr(model.cfg, option.name) for option in fields(model.cfg)}
    options.pop("_name", None)
    sizes = {
        name: value
        for name, value in options.items()
        if name not in NOT_SIZES and not name.endswith("dropout")
    }
    task = {"max_positions": model.cfg.max_positions}
    content = {"model": {"_name": model.ARCH, **sizes}, "task": task}
    write_lines(folder / SIZES, yaml.safe_dump(content, sort_keys=False).splitlines())
    save_checkpoint(folder / MODEL, as_checkpoint(model, options))


def as_checkpoint(model: PretrainedEncoderModel, options: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint as fairseq-train writes it, of a training without updates."""
    return {
        "args": None,
        "cfg": {"common": {"seed": 1}, "model": {**options, "_name": model.ARCH}},
        "model": model.state_dict(),
        "optimizer_history": [
            {
                "criterion_name": None,
                "optimizer_name": None,
                "lr_scheduler_state": {},
                "num_updates": 0,
            }
        ],
        "extra_state": {"train_iterator": {"epoch": 1}},
        "task_state": {},
        "last_optimizer_state": None,
    }
