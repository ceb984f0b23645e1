"""How evenly the parameters of systems contribute to the loss: JSON and Markdown tables."""

import platform
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fairseq
import torch
from torch import Tensor

from ... import __version__
from ...core.sensitivity import Balance, Moments, balance, pool
from ..reports.markdown import MISSING, decimals, escape, table_text
from .batches import Batches, Settings
from .parameter_scores import ParameterScores
from .training_data import TrainingData

# patterns of fairseq's parameter names; the first match counts
KINDS = {
    "layer norm": r"layer_?norm",
    "embedding": r"embed_(tokens|positions|segments)|\.embed\.",
    "attention": r"attn|attention",
    "output projection": r"output_projection|fc_out|embed_out",
    "FFN": r"\.fc[12]\.",
    "prediction head": r"classification_heads|pooler",
}
LAYER = re.compile(r"(encoder|decoder)(\.sentence_encoder)?\.layers\.\d+(?=\.)")


def kind_of(name: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "other")


def layer_of(name: str) -> str:
    match = LAYER.match(name)
    return match[0] if match else "outside the layers"


def by_part(scores: ParameterScores, part_of: Callable[[str], str]) -> dict[str, Balance]:
    """Describe how the parameters of each part of a model share the sensitivity."""
    parts: dict[str, list[Tensor]] = {}
    for name, tensor in scores.tensors.items():
        parts.setdefault(part_of(name), []).append(tensor)
    return {part: balance(pool(tensors), scores.loss) for part, tensors in parts.items()}


def symbol(settings: Settings) -> str:
    """The formula of the scores."""
    return "mean |θ ⊙ g|" if settings.mean_of_absolute else "|θ ⊙ ḡ|"


def describe(
    data: TrainingData, chosen: Batches, settings: Settings, systems: dict[str, dict[str, Any]]
) -> list[str]:
    """The notes below the tables: how the scores were computed, and what columns mean."""
    number, available = len(chosen), chosen.available
    batches = f"{number} of {available}" if number < available else f"all {number}"
    if number < settings.batches:
        batches += f" (fewer than the {settings.batches} asked for)"
    smoothing = {system["options"].get("label_smoothing") for system in systems.values()} - {None}
    criterion = data.criterion
    if smoothing:
        epsilons = ", ".join(f"{epsilon:g}" for epsilon in sorted(smoothing))
        criterion += f", label smoothing {epsilons}"
    notes = [
        f"sensitivity {symbol(settings)} in {data.unit}, "
        f"dropout {'on' if settings.dropout else 'off'}",
        f"batches of {settings.subset} {data.name}, up to {settings.max_tokens} tokens each: "
        f"{batches}, seed {settings.seed}",
        f"criterion: {criterion}",
        "SD: standard deviation over all parameters, shared ones counted once; top: the most "
        "sensitive 20 %, bottom: the other 80 %",
    ]
    if len(smoothing) > 1:
        notes.append("the losses are not comparable: the systems differ in label smoothing")
    return notes


def sensitivity_json(
    data: Path, notes: list[str], systems: dict[str, dict[str, Any]]
) -> dict[str, Any]:
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
    """Format two tables and their notes: one of whole models, one of their kinds and layers."""
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
