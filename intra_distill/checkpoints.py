"""fairseq's checkpoints, read as data, checked, and written so that they are whole or not there.

fairseq itself gives some strings of a checkpoint's configuration to Python's ``eval`` where it
builds the model. Those that could do more than name or count something are refused.
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
from fairseq.tasks import FairseqTask

from .errors import UserError
from .files import written_whole

# what fairseq gives to Python's eval where it builds a model, a task or a criterion
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


def refuse_code(path: str | Path, state: dict[str, typing.Any]) -> None:
    """Refuse a checkpoint's configuration that would do something where fairseq evaluates it.

    Text that fairseq does not evaluate, such as a path with brackets, is let through.

    Raises:
        UserError: it has a Python expression that calls or binds something, an interpolation, which
            reads the environment, or what is neither text nor a number
    """
    seen: dict[int, typing.Any] = {}  # which also keeps them, and their numbers, alive
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
    """Whether Python's ``eval`` would do more with a text than look up names and reckon."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError):  # eval fails too
        return False
    except (RecursionError, MemoryError):
        return True
    actions = (ast.Call, ast.comprehension, ast.Lambda, ast.NamedExpr, ast.JoinedStr)
    return any(isinstance(node, actions) for node in ast.walk(tree))


def read_tensors(path: Path) -> typing.Any:
    """What ``torch.save`` wrote, on the CPU; a tensor stays on disk until it is used.

    Raises:
        UserError: for what is no such file, could run code, or is larger than the file
    """
    try:
        with open(path, "rb") as file:
            whole = zipfile.is_zipfile(file)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not whole:
        raise UserError(f"{path} is not a PyTorch checkpoint, or not all of one")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > path.stat().st_size:
            raise UserError(f"{path} is refused: unpacked it would have {unpacked:,} bytes")
        # fairseq trusts torch's default, which an environment variable can switch off
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is refused: it is no plain data, and loading it could run code "
            f"({unsafe_names(path)})"
        ) from error
    except UserError:
        raise
    except Exception as error:  # torch and its unpickler fail in many ways on what is no checkpoint
        raise UserError(f"{path} is not a PyTorch checkpoint") from error
    return state


def unsafe_names(path: Path) -> str:
    """The functions and types that loading a file would call."""
    try:
        return ", ".join(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # it is malformed beside
        return "malformed"


def refuse_swollen(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Refuse tensors that are larger than what the file holds of them, as one repeated number is.

    Raises:
        UserError: there is one, or what is no tensor
    """
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
            raise UserError(f"{path} is refused: its {name} is no plain tensor")
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise UserError(f"{path} is refused: its {name} is larger than the file")


def read_checkpoint(path: Path) -> dict[str, typing.Any]:
    """What fairseq-train wrote, on the CPU; a tensor stays on disk until it is used.

    Raises:
        UserError: for what is no such file, or could run code
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such checkpoint")
    state = read_tensors(path)
    keys = {"model", "cfg", "optimizer_history", "extra_state"}
    if not (isinstance(state, dict) and keys <= state.keys() and state["optimizer_history"]):
        raise UserError(f"{path} is not a checkpoint that fairseq-train wrote")
    refuse_code(path, state)
    refuse_swollen(path, state["model"])
    return state


def save_checkpoint(path: Path, state: dict[str, typing.Any]) -> None:
    """Write a checkpoint that has its name only when whole.

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
    values = state["cfg"].get(group) or {}
    return vars(values) if isinstance(values, argparse.Namespace) else values


def num_passes(state: dict[str, typing.Any]) -> int:
    """K of the training; 1 of a task without passes."""
    return configuration(state, "task").get("num_passes", 1)


@functools.singledispatch
def check_fits(task: FairseqTask, path: Path, state: dict[str, typing.Any]) -> None:
    """Make sure that a checkpoint's model is of a task and its data, in the way of that task.

    Args:
        task: with its dictionaries
        path: of the checkpoint
        state: its content
    Raises:
        UserError: it is not, or nobody has said how to tell for such a task
    """
    raise UserError(f"{path}: whether a checkpoint fits {type(task).__name__} is not known")
