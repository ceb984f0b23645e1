"""fairseq's checkpoints, read as data and written so that they are whole or not there.

torch ≥ 2.6 loads with ``weights_only``: a checkpoint may build objects of known types alone, so
that a file from a stranger runs no code. Beside tensors, fairseq's checkpoints need the types
below, none of which does anything but hold values.
"""

import argparse
import collections
import os
import pickle
import typing
import zipfile
from pathlib import Path

import numpy as np
import omegaconf
import torch
from fairseq import utils
from fairseq.distributed.utils import _TensorPlaceholder
from fairseq.tasks.translation import TranslationTask

from .refusal import UserError

SAFE_TYPES = [
    argparse.Namespace,  # the configuration of models without a dataclass
    # --eval-bleu keeps n-gram counts as numpy arrays among the metrics
    np.ndarray,
    np.dtype,
    type(np.dtype(np.int64)),
    type(np.dtype(np.float64)),
    np.empty(0).__reduce__()[0],  # numpy's own functions that rebuild an array and a number
    np.float64(0).__reduce__()[0],
    # on resuming with several ranks the state is broadcast with placeholders for its tensors
    # and with the configuration as omegaconf holds it
    _TensorPlaceholder,
    omegaconf.DictConfig,
    omegaconf.ListConfig,
    omegaconf.AnyNode,
    omegaconf.base.ContainerMetadata,
    omegaconf.base.Metadata,
    collections.defaultdict,
    typing.Any,
    dict,
    list,
    int,
]


def allow_fairseq_checkpoints() -> None:
    """Let ``torch.load`` build :data:`SAFE_TYPES`."""
    torch.serialization.add_safe_globals(SAFE_TYPES)


def read_checkpoint(path: Path) -> dict[str, typing.Any]:
    """What fairseq-train wrote, on the CPU; a tensor stays on disk until it is used.

    Raises:
        UserError: for what is no such file, or could run code
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such checkpoint")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path} is not a PyTorch checkpoint, or not all of one")
    try:
        # fairseq trusts torch's default, which an environment variable can switch off
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        unsafe = ", ".join(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        raise UserError(
            f"{path} is refused: it is no plain data, and loading it could run code ({unsafe})"
        ) from error
    except RuntimeError as error:
        raise UserError(f"{path} is not a PyTorch checkpoint") from error
    keys = {"model", "cfg", "optimizer_history", "extra_state"}
    if not (isinstance(state, dict) and keys <= state.keys() and state["optimizer_history"]):
        raise UserError(f"{path} is not a checkpoint that fairseq-train wrote")
    return state


def save_checkpoint(path: Path, state: dict[str, typing.Any]) -> None:
    """Write a checkpoint that has its name only when whole.

    Raises:
        UserError: it cannot be written, as on a full disk
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        torch.save(state, temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot write {path}: {str(error).splitlines()[0]}") from error
    finally:
        temporary.unlink(missing_ok=True)


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
