"""The training batches that sensitivity is measured on."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fairseq import tasks
from fairseq.data import LanguagePairDataset, data_utils
from fairseq.tasks.translation import TranslationTask
from torch import nn

from ...errors import UserError
from ..options import as_argument, user_dir
from ..scoring.search import generator_config


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

    dataset: LanguagePairDataset
    indices: list[np.ndarray]  # for each batch, its sentences' indices in the dataset
    available: int  # batches in the whole subset
    sha256: str  # of their sentences

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.indices:
            yield self.dataset.collater([self.dataset[i] for i in batch])


def open_data(data: Path) -> TranslationTask:
    """Set up the translation task of a data directory, with its dictionaries.

    Raises:
        UserError: it is not a data directory of fairseq-preprocess
    """
    if not data.is_dir():
        raise UserError(f"{data}: there is no such data directory")
    languages = data_utils.infer_language_pair(str(data))
    for lang in languages:
        if lang is None or not (data / f"dict.{lang}.txt").is_file():
            raise UserError(f"{data} is not a data directory made by fairseq-preprocess")
    # one pass is plain translation; only in this task the Switch Transformer runs with dropout
    options = ["--user-dir", str(user_dir()), "--task", "translation_intra_distillation"]
    return tasks.setup_task(
        generator_config([as_argument(data), *options, "--num-passes", "1"]).task
    )


def load_subset(task: TranslationTask, subset: str) -> LanguagePairDataset:
    """Load a subset of the data; one that is not there is refused with the names of the others."""
    try:
        task.load_dataset(subset)
    except FileNotFoundError as error:
        suffix = f".{task.cfg.source_lang}-{task.cfg.target_lang}.{task.cfg.target_lang}.idx"
        found = sorted(
            path.name.removesuffix(suffix) for path in Path(task.cfg.data).glob(f"*{suffix}")
        )
        raise UserError(
            f"{task.cfg.data} has no subset {subset!r}, only {', '.join(found)}"
        ) from error
    return task.dataset(subset)


def choose_batches(task: TranslationTask, settings: Settings) -> Batches:
    """Draw batches at random without replacement; all of them if there are too few.

    Raises:
        UserError: there is no such subset, or it has no sentence that is short enough
    """
    dataset = load_subset(task, settings.subset)
    longest = [min(limit, settings.max_tokens) for limit in task.max_positions()]
    with data_utils.numpy_seed(settings.seed):
        indices = dataset.ordered_indices()
    indices = task.filter_indices_by_size(indices, dataset, longest, ignore_invalid_inputs=True)
    if len(indices) == 0:
        raise UserError(
            f"{task.cfg.data}: {settings.subset} has no sentence of at most {longest[0]} tokens"
        )
    batches = dataset.batch_by_size(indices, max_tokens=settings.max_tokens)
    number = min(settings.batches, len(batches))
    chosen = random.Random(settings.seed).sample(list(batches), number)
    digest = hashlib.sha256()
    for i in (i for batch in chosen for i in batch):
        digest.update(dataset[i]["source"].numpy().tobytes())
        digest.update(dataset[i]["target"].numpy().tobytes())
    return Batches(dataset, chosen, len(batches), digest.hexdigest())


def refuse_long_batches(checkpoint: Path, model: nn.Module, chosen: Batches) -> None:
    """Refuse batches with sentences that are longer than the model takes."""
    indices = np.concatenate(chosen.indices)
    sizes = chosen.dataset.src_sizes, chosen.dataset.tgt_sizes
    for side, longest, limit in zip(
        ("source", "target"), sizes, model.max_positions(), strict=True
    ):
        if longest[indices].max() > limit:
            raise UserError(
                f"{checkpoint} takes {limit} {side} tokens and a sentence has "
                f"{longest[indices].max()}: leave such sentences out by --max-tokens {limit}"
            )
