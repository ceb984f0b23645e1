"""fairseq's checkpoints, read as data and written so that they are whole or not there.

torch ≥ 2.6 loads with ``weights_only``: a checkpoint may build objects of known types alone, so
that a file from a stranger runs no code. Beside tensors, fairseq's checkpoints need the types
below, none of which does anything but hold values.

fairseq itself gives some strings of a checkpoint's configuration to Python's ``eval`` where it
builds the model. Those that could do more than name or count something are refused.
"""

import argparse
import ast
import pickle
import typing
import zipfile
from enum import Enum
from pathlib import Path

import omegaconf
import torch
from fairseq import utils
from fairseq.tasks.translation import TranslationTask

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


def check_same_data(path: Path, state: dict[str, typing.Any], task: TranslationTask) -> None:
    """Make sure that a checkpoint's model has the languages and the dictionaries of a task.

    A checkpoint has one embedding for each type but not the types' symbols. These are read from
    the data that the model was trained on, where it is still in its place.

    Raises:
        UserError: otherwise, and for what is no translation model
    """
    trained_on = state["cfg"].get("task")
    for side, lang_key, dictionary in (
        ("encoder", "source_lang", task.source_dictionary),
        ("decoder", "target_lang", task.target_dictionary),
    ):
        embeddings = state["model"].get(f"{side}.embed_tokens.weight")
        if embeddings is None or not isinstance(trained_on, dict):
            raise UserError(f"{path} is not a checkpoint of a translation model")
        lang = task.cfg[lang_key]
        their_lang = trained_on.get(lang_key) or lang  # none where fairseq found it by itself
        if their_lang != lang:
            raise UserError(f"{path} is of other data: its {side} knows {their_lang}, not {lang}")
        name = f"{utils.split_paths(task.cfg.data)[0]}/dict.{lang}.txt"
        if len(embeddings) != len(dictionary):
            raise UserError(
                f"{path} is of other data: its {side} knows {len(embeddings)} types, "
                f"{name} makes {len(dictionary)}"
            )
        theirs = Path(utils.split_paths(trained_on["data"])[0], f"dict.{lang}.txt")
        if theirs.is_file() and task.load_dictionary(str(theirs)) != dictionary:
            raise UserError(f"{path} is of other data: {theirs} is not {name}")
