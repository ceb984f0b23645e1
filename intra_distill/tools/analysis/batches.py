"""The training batches that sensitivity is measured on."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fairseq.data import FairseqDataset, data_utils
from fairseq.tasks import FairseqTask
from torch import nn

from ...errors import UserError
from .training_data import TrainingData


@dataclass(frozen=True)
class Settings:
    """The options that the scores depend on, besides the checkpoint."""

    subset: str
    batches: int  # how many to draw
    seed: int
    max_tokens: int
    dropout: bool
    mean_of_absolute: bool


@dataclass(frozen=True)
class Batches:
    """The batches that the gradient is computed on."""

    dataset: FairseqDataset
    indices: list[np.ndarray]  # for each batch, its sentences' indices in the dataset
    available: int  # batches in the whole subset
    sha256: str  # of their sentences

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.indices:
            yield self.dataset.collater([self.dataset[i] for i in batch])


def choose_batches(data: TrainingData, task: FairseqTask, settings: Settings) -> Batches:
    """Draw batches at random without replacement; all of them if there are too few.

    Raises:
        UserError: there is no such subset, or it has no sentence that is short enough
    """
    dataset = data.load(task, settings.subset)
    takes = task.max_positions()
    longest = [min(limit, settings.max_tokens) for limit in np.atleast_1d(takes).tolist()]
    with data_utils.numpy_seed(settings.seed):
        indices = data.ordered(dataset)
    indices = task.filter_indices_by_size(
        indices,
        dataset,
        longest if isinstance(takes, tuple) else longest[0],
        ignore_invalid_inputs=True,
    )
    if len(indices) == 0:
        raise UserError(
            f"{data.path}: {settings.subset} has no sentence of at most {longest[0]} tokens"
        )
    batches = dataset.batch_by_size(indices, max_tokens=settings.max_tokens)
    number = min(settings.batches, len(batches))
    chosen = random.Random(settings.seed).sample(list(batches), number)
    digest = hashlib.sha256()
    for i in (i for batch in chosen for i in batch):
        for tokens in data.tokens(dataset, i):
            digest.update(tokens.numpy().tobytes())
    return Batches(dataset, chosen, len(batches), digest.hexdigest())


def refuse_long_batches(
    checkpoint: Path, model: nn.Module, data: TrainingData, chosen: Batches
) -> None:
    """Refuse batches with sentences that are longer than the model takes."""
    indices = np.concatenate(chosen.indices)
    for side, sizes, most in data.limits(chosen.dataset, model):
        if sizes[indices].max() > most:
            raise UserError(
                f"{checkpoint} takes {most} {side}tokens and a sentence has "
                f"{sizes[indices].max()}: leave such sentences out by --max-tokens {most}"
            )
