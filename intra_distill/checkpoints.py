"""Checkpoints of fairseq-train: read as data, checked, and written atomically.

fairseq gives some strings of a checkpoint's configuration to Python's ``eval`` when it builds the
model. A string that could run code there is refused.
"""

import argparse
import ast
import functools
import pickle
import typing
import zipfile
from enum import Enum
from pathlib import Path

import omegaconf
import torch
from fairseq import checkpoint_utils
from fairseq.tasks import FairseqTask
from torch import nn

from .errors import UserError
from .files import written_whole

# the options that fairseq gives to Python's eval when it builds a model, a task or a criterion
EVALUATED = {
    *("encoder_layers", "decoder_layers", "encoder_attention", "decoder_attention"),
    *("self_attention", "gated_attention", "project_input", "downsample", "pretrained"),
    *("adaptive_softmax_cutoff", "adaptive_input_cutoff", "character_filters"),
    *("conv_feature_layers", "conv_aggregator_layers", "feature_encoder_spec"),
    *("xformers_att_config", "left_pad_source", "left_pad_target", "wer_args"),
    *("adam_betas", "adamax_betas", "adafactor_eps", "lamb_betas"),
    *("pipeline_balance", "pipeline_devices"),
    *("pipeline_encoder_balance", "pipeline_encoder_devices"),
    *("pipeline_decoder_balance", "pipeline_decoder_devices"),
}

# how a file of torch before 1.6 begins: a pickle of torch's magic number
LEGACY = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)


def refuse_code(path: str | Path, state: dict[str, typing.Any]) -> None:
    """Refuse a checkpoint whose configuration runs code when fairseq evaluates it.

    Text that fairseq does not evaluate, such as a path with brackets, is accepted.

    Raises:
        UserError: the configuration holds a Python expression that calls or binds something, an
            interpolation, which reads the environment, or a value that is no text or number
    """
    seen: dict[int, typing.Any] = {}  # by id, which stays unique only while the value is kept
    remaining = [(None, state.get("cfg")), (None, state.get("args"))]
    while remaining:
        name, value = remaining.pop()
        if isinstance(value, omegaconf.Container):
            value = omegaconf.OmegaConf.to_container(value)
        if isinstance(value, argparse.Namespace):
            value = vars(value)
        if isinstance(value, (dict, list, tuple)):
            if id(value) in seen:
                continue
            seen[id(value)] = value
            parts = value.items() if isinstance(value, dict) else ((name, part) for part in value)
            remaining += ((name if name in EVALUATED else key, part) for key, part in parts)
        elif isinstance(value, str) and ("${" in value or (name in EVALUATED and acts(value))):
            raise UserError(f"{path} is refused: its configuration could run code ({value[:200]})")
        elif not isinstance(value, (str, int, float, Enum, type(None))):
            raise UserError(f"{path} is refused: its configuration has a {type(value).__name__}")


def acts(expression: str) -> bool:
    """Whether Python's ``eval`` would call or bind something in a text."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError):  # eval fails as well
        return False
    except (RecursionError, MemoryError):
        return True
    actions = (ast.Call, ast.comprehension, ast.Lambda, ast.NamedExpr, ast.JoinedStr)
    return any(isinstance(node, actions) for node in ast.walk(tree))


def read_tensors(path: Path, legacy: bool = False) -> typing.Any:
    """Read what ``torch.save`` wrote, on the CPU; a tensor stays on disk until it is used.

    Args:
        path: of the file
        legacy: accept also the format of torch before 1.6, whose tensors are all read
    Raises:
        UserError: the file is no checkpoint, could run code, or unpacks to more than its size
    """
    try:
        with open(path, "rb") as file:
            in_zip = zipfile.is_zipfile(file)
            file.seek(0)
            whole = in_zip or (legacy and file.read(len(LEGACY)) == LEGACY)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not whole:
        raise UserError(f"{path} is not a PyTorch checkpoint, or only a part of one")
    try:
        if in_zip:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > path.stat().st_size:
                raise UserError(f"{path} is refused: unpacked it would have {unpacked:,} bytes")
        # an environment variable can switch torch's default off
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=in_zip)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is refused: it is no plain data, and loading it could run code "
            f"({unsafe_names(path)})"
        ) from error
    except UserError:
        raise
    except Exception as error:  # torch and its unpickler fail in many ways
        raise UserError(f"{path} is not a PyTorch checkpoint") from error
    return state


def unsafe_names(path: Path) -> str:
    """The functions and types that loading a file would call."""
    try:
        return ", ".join(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # the file is malformed as well
        return "malformed"


def refuse_swollen(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Refuse tensors that are larger than their data in the file, such as one repeated number.

    Raises:
        UserError: a tensor is, or a value is no tensor
    """
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            raise UserError(f"{path} is refused: its {name} is no plain tensor")
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise UserError(f"{path} is refused: its {name} is larger than the file")


def read_checkpoint(path: Path) -> dict[str, typing.Any]:
    """Read what fairseq-train wrote, on the CPU; a tensor stays on disk until it is used.

    Raises:
        UserError: the file is no checkpoint of fairseq-train, or could run code
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such checkpoint")
    state = read_tensors(path)
    keys = {"model", "cfg", "optimizer_history", "extra_state"}
    if not (
        isinstance(state, dict)
        and keys <= state.keys()
        and isinstance(state["model"], dict)
        and isinstance(state["extra_state"], dict)
        and state["optimizer_history"]
    ):
        raise UserError(f"{path} is not a checkpoint that fairseq-train wrote")
    refuse_code(path, state)
    refuse_swollen(path, state["model"])
    return state


def load_model(path: Path, task: FairseqTask) -> nn.Module:
    """Have fairseq build the model of a checkpoint, with its parameters, on the CPU.

    Args:
        path: of a checkpoint that :func:`read_checkpoint` accepts
        task: of the data
    """
    (model,), _ = checkpoint_utils.load_model_ensemble([str(path)], task=task)
    return model


def save_checkpoint(path: Path, state: dict[str, typing.Any]) -> None:
    """Write a checkpoint atomically.

    Raises:
        UserError: it cannot be written, as on a full disk
    """
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        torch.save(state, file)


def num_updates(state: dict[str, typing.Any]) -> int:
    """The updates that a checkpoint's model was trained for."""
    return state["optimizer_history"][-1]["num_updates"]


def configuration(state: dict[str, typing.Any], group: str) -> dict[str, typing.Any]:
    """A group of the configuration that a checkpoint was trained with, such as ``task``."""
    values = (state["cfg"] or {}).get(group)
    if isinstance(values, argparse.Namespace):  # of a component without a dataclass
        values = vars(values)
    return values if isinstance(values, dict) else {}


def num_passes(state: dict[str, typing.Any]) -> int:
    """K of the training; 1 for a task without passes."""
    K = configuration(state, "task").get("num_passes")
    return K if isinstance(K, int) else 1


@functools.singledispatch
def check_fits(task: FairseqTask, path: Path, state: dict[str, typing.Any]) -> None:
    """Make sure that a checkpoint's model fits the data of a task.

    Each kind of task registers its own check, see :mod:`.tasks.fitness`.

    Args:
        task: with its dictionaries loaded
        path: of the checkpoint
        state: its content
    Raises:
        UserError: the model does not fit, or the task has no check
    """
    raise UserError(f"{path} cannot be checked: {type(task).__name__} has no check of checkpoints")
