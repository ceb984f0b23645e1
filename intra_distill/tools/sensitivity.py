"""score each parameter's contribution to the loss, and see how evenly they contribute

The score is |θ ⊙ ḡ| (the paper's equation 2), where ḡ is the gradient of the cross-entropy per
token over random training batches, the same for all checkpoints. Whatever a system was trained
with, the criterion is fairseq's plain label-smoothed cross-entropy, with the label smoothing of
the checkpoint, so that systems compare. The folder of ``--results-path`` gets

- ``SYSTEM.sensitivity.pt``: the score of each parameter, which other commands read;
- ``sensitivity.json``: how evenly these are distributed in the systems of this call, over all
  parameters, by kind of parameter, and by layer.

Scores that are there already are not computed again. Parameters that a model shares, such as tied
embeddings, count once. A sentence longer than 1024 tokens or ``--max-tokens`` is left out.
"""

import argparse
import hashlib
import platform
import random
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fairseq
import numpy as np
import torch
from fairseq import checkpoint_utils, tasks, utils
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.data import LanguagePairDataset, data_utils
from fairseq.tasks.translation import TranslationTask
from torch import Tensor, nn
from tqdm import tqdm

from .. import __version__
from ..checkpoints import check_same_data, read_checkpoint
from ..core.sensitivity import Balance, Moments, Sensitivity, balance, pool, sensitivity
from . import UserError
from .evaluate import generator_config, make_directory, quieten_fairseq
from .files import sha256, write_json
from .options import MAX_TOKENS, as_argument, check_number
from .picture import check_picture
from .scores import Scores, read_scores, write_scores
from .table import escape, table_text
from .user_dir import user_dir
from .violins import draw_violins, sample

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


@dataclass(frozen=True)
class Settings:
    """What the scores depend on beside the checkpoint."""

    subset: str
    batches: int  # how many were asked for
    seed: int
    max_tokens: int
    dropout: bool
    mean_of_absolute: bool


@dataclass(frozen=True)
class Batches:
    """The batches that the gradient is taken of."""

    dataset: LanguagePairDataset
    indices: list[np.ndarray]  # of each batch, where its sentences are in the dataset
    available: int  # batches in the whole subset
    sha256: str  # of their sentences

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.indices:
            yield self.dataset.collater([self.dataset[i] for i in batch])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill sensitivity``."""
    parser.add_argument("data", type=Path, metavar="DATA", help="fairseq's data directory")
    add_system_arguments(parser)
    parser.add_argument(
        "--results-path", required=True, type=Path, metavar="DIR", help="where the results go"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the distributions: a picture of the type that the name ends with, such as .png",
    )
    parser.add_argument(
        "--gen-subset",
        default="train",
        metavar="SUBSET",
        help="where the batches are from (default: %(default)s)",
    )
    parser.add_argument(
        "--batches",
        type=int,
        default=100,
        metavar="N",
        help="how many are drawn at random (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="draws the batches (default: %(default)s)"
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=4096,
        metavar="N",
        help="tokens in a batch, padding included (default: %(default)s)",
    )
    parser.add_argument(
        "--dropout", action="store_true", help="with dropout, as in training (default: without)"
    )
    parser.add_argument(
        "--mean-of-absolute",
        action="store_true",
        help="the mean of |θ ⊙ g| over the batches, where gradients of opposite sign do not cancel",
    )
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU")


def add_system_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of commands that take several checkpoints."""
    parser.add_argument(
        "--path", required=True, nargs="+", type=Path, metavar="CHECKPOINT", help="the systems"
    )
    parser.add_argument(
        "--names",
        metavar="SYSTEM,…",
        help="the systems' names (default: each checkpoint's folder, or its parent where the "
        "folder is seedN)",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    quieten_fairseq()
    settings = Settings(
        subset=args.gen_subset,
        batches=args.batches,
        seed=args.seed,
        max_tokens=args.max_tokens,
        dropout=args.dropout,
        mean_of_absolute=args.mean_of_absolute,
    )
    check_options(args)
    checkpoints = name_systems(args.path, args.names)
    task = open_data(args.data)
    for path in checkpoints.values():
        check_same_data(path, read_checkpoint(path), task)
    chosen = choose_batches(task, settings)
    make_directory(args.results_path)

    device = torch.device("cuda" if torch.cuda.is_available() and not args.cpu else "cpu")
    systems, samples = {}, {}
    for name, path in checkpoints.items():
        scores_path = args.results_path / f"{name}.sensitivity.pt"
        scores = score(scores_path, path, task, chosen, settings, device)
        ascending = pool(list(scores.tensors.values()))
        samples[name] = sample(ascending)
        systems[name] = {
            "checkpoint": str(path),
            "checkpoint_sha256": scores.checkpoint_sha256,
            "scores": scores_path.name,
            "options": scores.options,
            "loss": scores.loss,
            "all": balance(ascending, scores.loss),
            "kinds": by_part(scores, kind_of),
            "layers": by_part(scores, layer_of),
        }
    notes = describe(task, chosen, settings, systems)
    write_json(args.results_path / "sensitivity.json", as_json(args.data, notes, systems))
    if args.plot:
        sds = {name: system["all"].all.sd for name, system in systems.items()}
        draw_violins(args.plot, samples, sds, f"sensitivity {symbol(settings)}, nats per token")
    print(markdown(systems, notes))


# What was asked for


def check_options(args: argparse.Namespace) -> None:
    """Refuse numbers without meaning and a picture that could not be written."""
    check_number("--batches", args.batches, 1)
    check_number("--max-tokens", args.max_tokens, 1, MAX_TOKENS)
    if not 0 <= args.seed < 2**32:
        raise UserError(f"--seed must be from 0 to 2^32 − 1, not {args.seed}")
    if args.plot:
        check_picture(args.plot)


def name_systems(paths: list[Path], names: str | None) -> dict[str, Path]:
    """The checkpoints by the names of their systems."""
    given = [system_name(path) for path in paths] if names is None else names.split(",")
    if len(given) != len(paths):
        raise UserError(f"--names has {len(given)} names for {len(paths)} checkpoints")
    systems: dict[str, Path] = {}
    for name, path in zip(given, paths, strict=True):
        if name in ("", "..") or Path(name).name != name:
            raise UserError(f"{path} cannot be called {name!r}, which is no file name: see --names")
        if name in systems:
            raise UserError(
                f"{systems[name]} and {path} are both called {name}: tell them apart by --names"
            )
        systems[name] = path
    return systems


def system_name(checkpoint: Path) -> str:
    """The folder of a checkpoint; of RUNS/SYSTEM/seedN/checkpoint_best.pt, SYSTEM."""
    folder = checkpoint.absolute().parent
    return folder.parent.name if re.fullmatch(r"seed\d+", folder.name) else folder.name


def open_data(data: Path) -> TranslationTask:
    """The translation task of a data directory, with its dictionaries."""
    if not data.is_dir():
        raise UserError(f"{data}: there is no such data directory")
    languages = data_utils.infer_language_pair(str(data))
    for lang in languages:
        if lang is None or not (data / f"dict.{lang}.txt").is_file():
            raise UserError(f"{data} is not a data directory made by fairseq-preprocess")
    # one pass is plain translation, and the Switch Transformer runs with dropout in this task alone
    options = ["--user-dir", str(user_dir()), "--task", "translation_intra_distillation"]
    return tasks.setup_task(
        generator_config([as_argument(data), *options, "--num-passes", "1"]).task
    )


def choose_batches(task: TranslationTask, settings: Settings) -> Batches:
    """Draw batches at random, each at most once; all of them where there are no more."""
    try:
        task.load_dataset(settings.subset)
    except FileNotFoundError as error:
        suffix = f".{task.cfg.source_lang}-{task.cfg.target_lang}.{task.cfg.target_lang}.idx"
        found = sorted(
            path.name.removesuffix(suffix) for path in Path(task.cfg.data).glob(f"*{suffix}")
        )
        raise UserError(
            f"{task.cfg.data} has no subset {settings.subset!r}, only {', '.join(found)}"
        ) from error
    dataset = task.dataset(settings.subset)
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


# The scores


def score(
    scores_path: Path,
    checkpoint: Path,
    task: TranslationTask,
    chosen: Batches,
    settings: Settings,
    device: torch.device,
) -> Scores:
    """The scores of a checkpoint: those in the file, or else new ones, which then are there."""
    trained_with = read_checkpoint(checkpoint)["cfg"]["criterion"]
    if isinstance(trained_with, argparse.Namespace):  # a criterion without a dataclass
        trained_with = vars(trained_with)
    label_smoothing = trained_with.get("label_smoothing", 0.0)
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
    write_scores(scores_path, Scores(tensors, digest, options, loss))
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


def refuse_long_sentences(checkpoint: Path, model: nn.Module, chosen: Batches) -> None:
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


# Their summary


def kind_of(name: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), "other")


def layer_of(name: str) -> str:
    match = LAYER.match(name)
    return match[0] if match else "outside the layers"


def by_part(scores: Scores, part_of: Callable[[str], str]) -> dict[str, Balance]:
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


def markdown(systems: dict[str, dict[str, Any]], notes: list[str]) -> str:
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
