"""How K passes disagree: their output distributions p_1 … p_K at one position of a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from fairseq import utils
from fairseq.tasks.translation import TranslationTask
from torch import Tensor

from ...checkpoints import check_fits, load_model, read_checkpoint
from ...core.divergence import x_divergence
from ...core.replicate import replicate, split_passes
from ...errors import UserError
from ..reports.picture import AS_IT_IS, COLOURS
from .training_data import ParallelText

if TYPE_CHECKING:  # no other command has to wait for it
    from matplotlib.figure import Figure

WORDS = 6  # in a panel: the most probable by the mean of the passes


@dataclass(frozen=True)
class Disagreement:
    """What K passes with different dropout say of one sentence."""

    lprobs: Tensor  # log p_i of every position, (K, T, V), natural logarithms
    divergence: Tensor  # X-divergence, equation (8), of every position, (T,), bits


@dataclass(frozen=True)
class SentencePair:
    """A sentence of a data directory, and its words as they are shown."""

    sample: dict[str, Any]  # a batch of one
    source: str
    target: list[str]  # the pieces, </s> at the end


def read_pair(data: ParallelText, subset: str, line: int) -> SentencePair:
    """Read one sentence of a subset.

    Args:
        data: the data directory
        subset: such as test
        line: its number in the subset, from 1 on
    Raises:
        UserError: there is no such subset or line
    """
    task = data.task
    dataset = data.load(task, subset)
    if not 1 <= line <= len(dataset):
        raise UserError(
            f"--line must be 1 to {len(dataset)}, the sentences of {subset}, not {line}"
        )
    sample = dataset.collater([dataset[line - 1]])
    (target,) = sample["target"]
    source = task.source_dictionary.string(dataset[line - 1]["source"], "sentencepiece")
    return SentencePair(
        sample, source, [task.target_dictionary[piece] for piece in target.tolist()]
    )


def disagree(
    task: TranslationTask, checkpoint: Path, sentence: SentencePair, num_passes: int, seed: int
) -> Disagreement:
    """Send a sentence K times through a model, with dropout as in training.

    Raises:
        UserError: the checkpoint is not of this data, or takes no sentence of this length
    """
    check_fits(task, checkpoint, read_checkpoint(checkpoint))
    model = load_model(checkpoint, task)
    longest = max(sentence.sample["net_input"]["src_tokens"].size(1), len(sentence.target))
    if longest > min(model.max_positions()):
        raise UserError(
            f"{checkpoint} takes {min(model.max_positions())} tokens and the sentence has "
            f"{longest}: choose another by --line"
        )
    utils.set_torch_seed(seed)
    model.train()
    with torch.no_grad():
        output = model(**replicate(sentence.sample["net_input"], num_passes))
        lprobs = model.get_normalized_probs(output, log_probs=True).float()
    lprobs = split_passes(lprobs, num_passes).squeeze(1)
    return Disagreement(lprobs, x_divergence(lprobs) / math.log(2))


def plot_disagreement(
    task: TranslationTask, sentence: SentencePair, systems: dict[str, Disagreement]
) -> Figure:
    """A row for each system and a panel for each pass, where the first system disagrees most."""
    from matplotlib.figure import Figure

    first = next(iter(systems.values()))
    position, num_passes = int(first.divergence.argmax()), len(first.lprobs)
    figure = Figure(
        figsize=(1.6 + 2.2 * num_passes, 1.1 + 1.6 * len(systems)), layout="constrained"
    )
    panels = figure.subplots(len(systems), num_passes, squeeze=False, sharex=True)
    for row, (name, system) in zip(panels, systems.items(), strict=True):
        probs = system.lprobs[:, position].exp()
        words = probs.mean(dim=0).topk(min(WORDS, probs.size(1))).indices.tolist()
        labels = [task.target_dictionary[word] for word in words]
        colours = [COLOURS[3 if label == sentence.target[position] else 2] for label in labels]
        for i, axes in enumerate(row):
            axes.barh(range(len(words)), probs[i, words].tolist(), color=colours)
            axes.set_yticks(range(len(words)), labels if i == 0 else [], **AS_IT_IS)
            axes.invert_yaxis()
            axes.set_xlim(0, 1)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title(f"$p_{{{i + 1}}}$", fontsize=10)
        here, mean = system.divergence[position], system.divergence.mean()
        row[0].set_ylabel(name, **AS_IT_IS)
        row[-1].set_title(f"{here:.2f} bits here\n{mean:.2f} per token", loc="right", fontsize=8)
    read = "".join(sentence.target[:position]).replace("▁", " ").strip()
    figure.suptitle(f"{sentence.source}\n→ {read} …", fontsize=9, **AS_IT_IS)
    figure.supxlabel(
        "probability of the next piece in each of K passes (green: the reference)", fontsize=9
    )
    return figure
