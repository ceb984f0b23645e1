"""The sensitivity |θ ⊙ ḡ| of a checkpoint's parameters, and how evenly they contribute."""

import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fairseq
import torch
from fairseq import checkpoint_utils, utils
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.tasks.translation import TranslationTask
from torch import Tensor
from tqdm import tqdm

from ... import __version__
from ...checkpoints import configuration, read_checkpoint
from ...core.sensitivity import Balance, Moments, Sensitivity, balance, pool, sensitivity
from ...errors import UserError
from ...files import sha256
from ..reports.markdown import escape, table_text
from .batches import Batches, Settings, refuse_long_sentences
from .parameter_scores import ParameterScores, read_scores, write_scores

# by the names that fairseq gives to parameters; the first pattern that is found counts
KINDS = {
    "layer norm": r"layer_?norm",
    "embedding": r"embed_(tokens|positions)|\.embed\.",
    "attention": r"attn|attention",
    "output projection": r"output_projection|fc_out|embed_out",
    "FFN": r"\.fc[12]\.",
}


LAYER = re.compile(r"(encoder|decoder)\.layers\.\d+(?=\.)")
MISSING = "—"


# The scores


def score(
    scores_path: Path,
    checkpoint: Path,
    task: TranslationTask,
    chosen: Batches,
    settings: Settings,
    device: torch.device,
) -> ParameterScores:
    """The scores of a checkpoint: those in the file, or else new ones, which then are there."""
    criterion = configuration(read_checkpoint(checkpoint), "criterion")
    label_smoothing = criterion.get("label_smoothing", 0.0)
    options = {
        **asdict(settings),
        "label_smoothing": label_smoothing,
        "batches_used": len(chosen),
        "sentences_sha256": chosen.sha256,
    }
    digest = sha256(checkpoint)
    if scores_path.exists():
        stored = read_scores(scores_path)
        if (stored.checkpoint_sha256, stored.options) == (digest, options):
            reused = f"{scores_path} is of this checkpoint and these settings: not computed again"
            print(reused, file=sys.stderr)
            return stored

    tensors, loss = compute(checkpoint, task, chosen, settings, label_smoothing, device)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(f"{checkpoint}: the sensitivity of {name} is infinite or no number")
        tensors[name] = tensor.cpu()
    write_scores(scores_path, ParameterScores(tensors, digest, options, loss))
    return read_scores(scores_path)  # which takes no memory until it is used


def compute(
    checkpoint: Path,
    task: TranslationTask,
    chosen: Batches,
    settings: Settings,
    label_smoothing: float,
    device: torch.device,
) -> Sensitivity:
    """Take the gradient of the batches, and score the parameters where the model is."""
    (model,), _ = checkpoint_utils.load_model_ensemble([str(checkpoint)], task=task)
    refuse_long_sentences(checkpoint, model, chosen)
    # a parameter that was frozen in training contributes as well
    model.to(device).train(settings.dropout).requires_grad_(True)
    criterion = LabelSmoothedCrossEntropyCriterion(task, False, label_smoothing)
    utils.set_torch_seed(settings.seed)

    def losses() -> Iterator[tuple[Tensor, int]]:
        for batch in tqdm(chosen, desc=str(checkpoint), unit="batch", disable=None):
            loss, tokens, _ = criterion(model, utils.move_to_cuda(batch, device))
            yield loss, tokens

    # cuDNN's recurrent networks have no gradient outside of training
    with torch.backends.cudnn.flags(enabled=settings.dropout):
        return sensitivity(model, losses(), settings.mean_of_absolute)


# Their summary


def kind_of(name: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "other")


def layer_of(name: str) -> str:
    match = LAYER.match(name)
    return match[0] if match else "outside the layers"


def by_part(scores: ParameterScores, part_of: Callable[[str], str]) -> dict[str, Balance]:
    """Describe each part of a model."""
    parts: dict[str, list[Tensor]] = {}
    for name, tensor in scores.tensors.items():
        parts.setdefault(part_of(name), []).append(tensor)
    return {part: balance(pool(tensors), scores.loss) for part, tensors in parts.items()}


def symbol(settings: Settings) -> str:
    return "mean |θ ⊙ g|" if settings.mean_of_absolute else "|θ ⊙ ḡ|"


def describe(
    task: TranslationTask, chosen: Batches, settings: Settings, systems: dict[str, dict[str, Any]]
) -> list[str]:
    """What the figures are, line by line."""
    number, available = len(chosen), chosen.available
    batches = f"{number} of {available}" if number < available else f"all {number}"
    if number < settings.batches:
        batches += f" (fewer than the {settings.batches} asked for)"
    smoothing = {system["options"]["label_smoothing"] for system in systems.values()}
    notes = [
        f"sensitivity {symbol(settings)} in nats per target token, "
        f"dropout {'on' if settings.dropout else 'off'}",
        f"batches of {settings.subset} {task.cfg.source_lang}-{task.cfg.target_lang}, up to "
        f"{settings.max_tokens} tokens each: {batches}, seed {settings.seed}",
        "criterion: plain cross-entropy for every system, label smoothing "
        + ", ".join(f"{epsilon:g}" for epsilon in sorted(smoothing)),
        "SD: standard deviation over all parameters, shared ones counted once; top: the most "
        "sensitive 20 %, bottom: the rest",
    ]
    if len(smoothing) > 1:
        notes.append("the losses do not compare: the systems differ in label smoothing")
    return notes


def as_json(data: Path, notes: list[str], systems: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The content of ``sensitivity.json``."""
    return {
        "data": str(data),
        "notes": notes,
        "systems": {
            name: {
                **system,
                "all": asdict(system["all"]),
                "kinds": {part: asdict(each) for part, each in system["kinds"].items()},
                "layers": {part: asdict(each) for part, each in system["layers"].items()},
            }
            for name, system in systems.items()
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "fairseq": fairseq.__version__,
            "intra_distill": __version__,
        },
    }


def sensitivity_tables(systems: dict[str, dict[str, Any]], notes: list[str]) -> str:
    """The summary: a table of the whole models, and one of their kinds and layers."""
    header = ["System", "loss", "mean", "SD", "mean/loss", "SD/loss", "SD/mean"]
    whole = [[*header, "top mean", "bottom mean", "top/bottom", "Gini"]]
    for name, system in systems.items():
        figures: Balance = system["all"]
        of_all, trimmed = moments_text(figures.all), moments_text(figures.without_top_1_percent)
        shares = [
            *map(scientific, (figures.top_20_percent_mean, figures.bottom_80_percent_mean)),
            *map(decimals, (figures.top_to_bottom, figures.gini)),
        ]
        whole.append([escape(name), f"{system['loss']:.3f}", *of_all, *shares])
        whole.append(["without the top 1 %", "", *trimmed, "", "", "", ""])

    columns = ("parameters", "mean", "SD", "SD/mean", "Gini")
    titles = [f"{escape(name)}: {column}" for name in systems for column in columns]
    parts = [["Part", *titles]]
    for grouping in ("kinds", "layers"):
        for part in dict.fromkeys(part for system in systems.values() for part in system[grouping]):
            row = [part]
            for system in systems.values():
                row += part_text(system[grouping].get(part), len(columns))
            parts.append(row)
    return "\n\n".join(
        [table_text(whole), table_text(parts), "\n".join(f"- {note}" for note in notes)]
    )


def moments_text(moments: Moments) -> list[str]:
    return [
        scientific(moments.mean),
        scientific(moments.sd),
        scientific(moments.mean_over_loss),
        scientific(moments.sd_over_loss),
        decimals(moments.sd_over_mean),
    ]


def part_text(figures: Balance | None, columns: int) -> list[str]:
    if figures is None:
        return [MISSING] * columns
    moments = figures.all
    return [
        f"{figures.parameters:,}",
        scientific(moments.mean),
        scientific(moments.sd),
        decimals(moments.sd_over_mean),
        decimals(figures.gini),
    ]


def scientific(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2e}"


def decimals(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"
