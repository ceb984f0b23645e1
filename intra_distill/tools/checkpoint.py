"""fairseq's checkpoints, read as data and written so that they are whole or not there."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from . import UserError


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of fairseq-train as data, never running code from it.

    Its tensors stay in the file until they are used, and count in memory only then.

    Raises:
        UserError: the file is not there, not whole, no checkpoint of a model, or more than data.
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


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
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


def num_updates(state: dict[str, Any]) -> int:
    """The updates that a checkpoint's model was trained for."""
    return state["optimizer_history"][-1]["num_updates"]
