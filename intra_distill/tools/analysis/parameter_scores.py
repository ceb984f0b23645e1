"""Files with a score for each parameter of a checkpoint.

``intra-distill sensitivity`` writes them; ``intra-distill prune`` reads them.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from ...checkpoints import read_tensors, refuse_swollen, save_checkpoint
from ...errors import UserError


@dataclass(frozen=True)
class ParameterScores:
    """The scores of a model's parameters, and how they were computed.

    A parameter with several names in the checkpoint, such as tied embeddings, has one entry, under
    its name in the model's ``named_parameters()``.
    """

    tensors: dict[str, Tensor]  # by parameter name: float32 in the parameter's shape
    checkpoint_sha256: str
    options: dict[str, Any]  # of the computation: numbers, strings and booleans
    loss: float  # of the model on the same data, per target token or per sentence


def write_scores(path: Path, scores: ParameterScores) -> None:
    """Write scores atomically.

    Raises:
        UserError: it cannot be written, as on a full disk
    """
    # asdict() would copy the tensors
    save_checkpoint(
        path, {field.name: getattr(scores, field.name) for field in fields(ParameterScores)}
    )


def read_scores(path: Path) -> ParameterScores:
    """Read scores as plain data, so that a file cannot run code.

    The tensors stay on disk until they are used.

    Raises:
        UserError: there is no such file, or it does not hold scores
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of scores")
    not_scores = f"{path} does not hold the scores that intra-distill sensitivity writes"
    try:
        scores = ParameterScores(**read_tensors(path))
    except (UserError, TypeError) as error:
        raise UserError(f"{not_scores}: {error}") from error
    if not (
        isinstance(scores.tensors, dict)
        and all(isinstance(name, str) for name in scores.tensors)
        and isinstance(scores.checkpoint_sha256, str)
        and isinstance(scores.options, dict)
        and isinstance(scores.loss, float)
    ):
        raise UserError(not_scores)
    refuse_swollen(path, scores.tensors)
    return scores
