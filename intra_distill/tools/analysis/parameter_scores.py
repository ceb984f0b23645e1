"""A score for each parameter of a checkpoint, as commands hand them to each other in a file.

``intra-distill sensitivity`` writes the file; what removes parameters by their score reads it.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from ...checkpoints import read_tensors, refuse_swollen, save_checkpoint
from ...errors import UserError


@dataclass(frozen=True)
class ParameterScores:
    """The scores of a model's parameters, and what they were made from.

    A parameter that stands under several names in the checkpoint, as tied embeddings do, is here
    once, under the first of its names in the model's ``named_parameters()``.
    """

    tensors: dict[str, Tensor]  # by parameter name: float32 in the parameter's shape
    checkpoint_sha256: str
    options: dict[str, Any]  # what was asked for: numbers, strings and booleans
    loss: float  # of the model on the data of the scores, nats per target token


def write_scores(path: Path, scores: ParameterScores) -> None:
    """Write a file that has its name only when whole.

    Raises:
        UserError: it cannot be written, as on a full disk
    """
    # asdict() would copy the tensors
    save_checkpoint(
        path, {field.name: getattr(scores, field.name) for field in fields(ParameterScores)}
    )


def read_scores(path: Path) -> ParameterScores:
    """Read what :func:`write_scores` wrote, as data: no code in a file is ever run.

    The tensors stay in the file until they are used.

    Raises:
        UserError: the file is not there, or holds no scores.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of scores")
    what_it_is = f"{path} does not hold the scores that intra-distill sensitivity writes"
    try:
        scores = ParameterScores(**read_tensors(path))
    except (UserError, TypeError) as error:
        raise UserError(f"{what_it_is}: {error}") from error
    if not (
        isinstance(scores.tensors, dict)
        and all(isinstance(name, str) for name in scores.tensors)
        and isinstance(scores.checkpoint_sha256, str)
        and isinstance(scores.options, dict)
        and isinstance(scores.loss, float)
    ):
        raise UserError(what_it_is)
    refuse_swollen(path, scores.tensors)
    return scores
