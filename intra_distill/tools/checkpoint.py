"""fairseq's checkpoints, read as data and written so that they are whole or not there."""

import os
from pathlib import Path
from typing import Any

import torch

from ..checkpoints import read_checkpoint as load_checkpoint  # noqa: F401
from . import UserError


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
