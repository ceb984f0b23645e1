"""Time, tokens per second and peak memory of a training step with K passes against plain fairseq.

A step is fairseq's own ``Trainer.train_step`` with Adam: forward, backward, update, statistics.
The corpus consists of random tokens, with sentence lengths like those of real text. Every step
takes the same batch, the middle one of those that fairseq makes for --max-tokens. About 8 % of its
target positions are padding, as in Multi30k.

Variants:
  plain        label_smoothed_cross_entropy, one pass
  plain-3x     plain with three times the tokens in a batch, as many as K = 3 computes with
  rdrop        label_smoothed_cross_entropy_with_rdrop, fairseq's R-Drop, two passes
  textbook-3   three separate passes, and the divergence by its definition with autograd
  fused-K      this project: the loss fused with the output projection
  unfused-K    this project with --loss-implementation plain
  one-pass-K   this project with --passes-in-memory 1
  encoder-K    this project with --passes-differ encoder: the decoder takes the passes in turns
  decoder-K    this project with --passes-differ decoder: the encoder runs once
  simcut       this project as SimCut: two passes, cutoff, the divergence kl
  VARIANT+SET  a variant with a set of options, such as fused-3+checkpoint:
               checkpoint   --checkpoint-activations

Time: all variants are in one process and take turns, one step each per round, so that a ratio to
plain compares steps that are close in time. The table shows medians and quartiles over the rounds.
Memory: each variant makes two updates; in the second the optimizer's state and the activations are
in memory together. The table shows the peak of model, optimizer, batch and activations: on CUDA of
their tensors, on the CPU of a process of its own. Tokens are target tokens without padding, counted
once for any K.
"""

import argparse
import math
import random
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import measure
import torch
import torch.nn.functional as F
from fairseq import tasks, utils
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)
from fairseq.data import Dictionary, indexed_dataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_training_parser, parse_args_and_arch
from fairseq.trainer import Trainer
from torch import Tensor, nn

ALPHA = 5

SHAPES = {  # types in the dictionary, architecture
    "tiny": (
        100,
        "--arch transformer --share-all-embeddings --dropout 0.3 "
        "--encoder-layers 1 --encoder-embed-dim 16 --encoder-ffn-embed-dim 16 "
        "--decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 16 "
        "--encoder-attention-heads 2 --decoder-attention-heads 2",
    ),
    "small": (
        6_000,
        "--arch transformer --share-all-embeddings --dropout 0.3 --attention-dropout 0.1 "
        "--encoder-layers 3 --encoder-embed-dim 128 --encoder-ffn-embed-dim 256 "
        "--decoder-layers 3 --decoder-embed-dim 128 --decoder-ffn-embed-dim 256 "
        "--encoder-attention-heads 4 --decoder-attention-heads 4",
    ),
    "iwslt": (12_001, "--arch transformer_iwslt_de_en --dropout 0.3 --attention-dropout 0.1"),
    "wmt": (32_001, "--arch transformer_vaswani_wmt_en_de_big --dropout 0.1"),
}


def _ours(K: int) -> str:
    # α′ = α from the first update on, since α′ = 0 would skip the divergence
    alpha = f"--alpha {ALPHA} --constant-alpha" if K > 1 else "--alpha 0"
    task = f"--task translation_intra_distillation --num-passes {K}"
    return f"{task} --criterion intra_distillation {alpha}"


_SIMCUT = f"{_ours(2)} --cutoff 0.05 --divergence kl --supervised-passes 1"
_RDROP = f"--criterion label_smoothed_cross_entropy_with_rdrop --rdrop-alpha {ALPHA}"

_PLAIN = "--task translation --criterion label_smoothed_cross_entropy"

VARIANTS = {
    "plain": _PLAIN,
    "plain-3x": _PLAIN,
    "rdrop": f"--task translation {_RDROP}",
    "textbook-3": "--task translation --criterion textbook --num-passes 3",
    **{f"fused-{K}": _ours(K) for K in range(1, 7)},
    **{f"unfused-{K}": f"{_ours(K)} --loss-implementation plain" for K in range(2, 7)},
    **{f"one-pass-{K}": f"{_ours(K)} --passes-in-memory 1" for K in range(2, 7)},
    **{
        f"{side}-{K}": f"{_ours(K)} --passes-differ {side}"
        for side in ("encoder", "decoder")
        for K in range(2, 7)
    },
    "simcut": _SIMCUT,
}
FEW = ["plain", "textbook-3", "fused-3", "one-pass-3"]  # ten minutes on a few cores
BATCHES = {"plain-3x": 3}  # of --max-tokens in one
OPTION_SETS = {  # VARIANT+SET takes them beside its own
    "checkpoint": "--checkpoint-activations",
    "fused_adam": "--optimizer fused_adam",
}
TYPES = {"float32": "", "float16": "--fp16", "bfloat16": "--bf16"}
WARM_UPDATES = {"cpu": 1, "cuda": 3}  # the first creates the optimizer's state


@dataclass(frozen=True)
class Setting:
    """What the variants of one comparison share."""

    shape: str
    max_tokens: int
    dtype: str
    device: str


@dataclass
class TextbookConfig(LabelSmoothedCrossEntropyCriterionConfig):
    num_passes: int = field(default=3, metadata={"help": "K"})


@register_criterion("textbook", dataclass=TextbookConfig)
class Textbook(LabelSmoothedCrossEntropyCriterion):
    """Equation (10), written directly from the paper: nothing is shared or fused."""

    def __init__(self, task: Any, cfg: TextbookConfig) -> None:
        super().__init__(task, cfg.sentence_avg, cfg.label_smoothing)
        self.num_passes = cfg.num_passes

    def forward(
        self, model: nn.Module, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, int, dict[str, Any]]:
        K = self.num_passes
        outputs = [model(**sample["net_input"]) for _ in range(K)]
        losses, nlls = zip(*(self.compute_loss(model, output, sample) for output in outputs))
        probs = [model.get_normalized_probs(output, log_probs=False) for output in outputs]
        lprobs = [model.get_normalized_probs(output, log_probs=True) for output in outputs]
        divergence = definition_of_x(probs, lprobs)[sample["target"].ne(self.padding_idx)].sum()
        loss = sum(losses) / K + ALPHA * divergence
        logging_output = {
            "loss": loss.data,
            "nll_loss": sum(nlls).data / K,
            "ntokens": sample["ntokens"],
            "nsentences": sample["target"].size(0),
            "sample_size": sample["ntokens"],
        }
        return loss, sample["ntokens"], logging_output


def definition_of_x(probs: list[Tensor], lprobs: list[Tensor]) -> Tensor:
    """(1/K) Σ_i [KL(p_i‖p̄) + KL(p̄‖p_i)], equation (8): K of (..., V) → (...)."""
    kl = partial(F.kl_div, reduction="none")  # of log q, p: p (log p − log q)
    mean = sum(probs) / len(probs)
    log_mean = mean.log()
    terms = ((kl(log_mean, p) + kl(a, mean)).sum(dim=-1) for p, a in zip(probs, lprobs))
    return sum(terms) / len(probs)


def write_corpus(folder: Path, types: int, max_tokens: int) -> None:
    """Write a fairseq data directory of random tokens, enough for about 70 batches."""
    dictionary = Dictionary()
    for i in range(types - len(dictionary)):
        dictionary.add_symbol(str(i))
    generator = torch.Generator().manual_seed(1)
    draw = random.Random(1)
    builders = {}
    for language in ("de", "en"):
        dictionary.save(str(folder / f"dict.{language}.txt"))
        prefix = str(folder / f"train.de-en.{language}")
        data = indexed_dataset.data_file_path(prefix)
        builder = indexed_dataset.make_builder(data, "mmap", vocab_size=types)
        builders[language] = builder, indexed_dataset.index_file_path(prefix)
    sizes: list[list[int]] = [[], []]
    for _ in range(10_000 * max_tokens // 4096):
        # the spread of lengths and of their ratio as in Multi30k
        source = draw.lognormvariate(math.log(20), 0.35)
        target = source * draw.lognormvariate(0, 0.17)
        for length, those in zip((source, target), sizes):
            those.append(max(1, round(length)) + 1)
    for those, (builder, _) in zip(sizes, builders.values()):
        tokens = torch.randint(dictionary.nspecial, types, (sum(those),), generator=generator)
        for sentence in tokens.split(those):
            sentence[-1] = dictionary.eos()
            builder.add_item(sentence)
    for builder, index in builders.values():
        builder.finalize(index)


def build(arguments: list[str]) -> tuple[Trainer, dict[str, Any]]:
    """Build the trainer for arguments of fairseq-train, and the batch that all steps take."""
    parser = get_training_parser()
    cfg = convert_namespace_to_omegaconf(parse_args_and_arch(parser, arguments))
    cfg.common.tpu = False  # which fairseq's parser, but not its hydra, makes of --bf16
    utils.set_torch_seed(cfg.common.seed)
    task = tasks.setup_task(cfg.task)
    model = task.build_model(cfg.model)
    trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
    batches = trainer.get_train_iterator(1)
    middle = batches.frozen_batches[len(batches.frozen_batches) // 2]
    batch = batches.collate_fn([batches.dataset[i] for i in middle])
    trainer.begin_epoch(1)
    return trainer, batch


def step(trainer: Trainer, batch: dict[str, Any]) -> None:
    # new dictionaries, in which fairseq's R-Drop doubles the batch; tensors are shared
    trainer.train_step([utils.apply_to_sample(lambda tensor: tensor, batch)], raise_oom=True)


def update(trainer: Trainer, batch: dict[str, Any], updates: int) -> None:
    while trainer.get_num_updates() < updates:  # under fp16 the first steps may overflow
        step(trainer, batch)


def variant(text: str) -> str:
    """Parse the name of a variant, with any sets of options after it."""
    base, *sets = text.split("+")
    for name, known in [(base, VARIANTS), *((each, OPTION_SETS) for each in sets)]:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return text


def arguments_of(name: str, setting: Setting, data: Path) -> list[str]:
    """The arguments of fairseq-train for a variant on the data of :func:`write_corpus`."""
    base, *sets = name.split("+")
    _, architecture = SHAPES[setting.shape]
    return [
        *[str(data), "--save-dir", str(data), *architecture.split()],
        *["--max-tokens", str(setting.max_tokens * BATCHES.get(base, 1))],
        *"--num-workers 0 --label-smoothing 0.1".split(),
        *"--optimizer adam --lr 0.0001 --no-progress-bar".split(),
        *TYPES[setting.dtype].split(),
        *(["--cpu"] if setting.device == "cpu" else []),
        *VARIANTS[base].split(),
        *(option for each in sets for option in OPTION_SETS[each].split()),
    ]


def peak_memory(arguments: list[str], device: str) -> int:
    """Measure the bytes above the imported program; must run in a process of its own."""
    return measure.memory_growth(lambda: update(*build(arguments), updates=2), device)


@dataclass
class Variant:
    """A variant in memory, ready for its timed steps."""

    trainer: Trainer
    batch: dict[str, Any]
    peak: int  # bytes above those before it
    steps: int = 0

    def __post_init__(self) -> None:
        self._before = self.trainer.get_num_updates()

    def __call__(self) -> None:
        step(self.trainer, self.batch)
        self.steps += 1

    def skipped(self) -> int:
        """The steps that made no update, because fp16 overflowed."""
        return self.steps - (self.trainer.get_num_updates() - self._before)


def ready(arguments: list[str], device: str) -> Variant:
    """Build a variant and make its first updates."""
    built = []

    def first_updates() -> None:
        built.extend(build(arguments))
        update(*built, updates=WARM_UPDATES[device])

    peak = measure.memory_growth(first_updates, device)
    return Variant(*built, peak)


def comparison(
    setting: Setting,
    variants: list[str],
    data: Path,
    deadline: float,
    rounds: int | None = None,
    guard: measure.Guard = nullcontext,
    own_processes: bool = False,
) -> Iterator[dict[str, Any]]:
    """Compare variants; memory and the first updates take at most about two thirds of the time.

    Args:
        variants: the first is the base of all ratios
        data: folder of :func:`write_corpus`, for the setting's types and tokens
        deadline: in seconds of :func:`time.monotonic`
        rounds: limit of rounds
        guard: around each call; where it suppresses an exception, that variant is left out
        own_processes: to measure memory, which the CPU needs for exact figures
    Yields:
        the figures so far, after each variant's first updates and after each round
    """
    device = setting.device
    arguments = {name: arguments_of(name, setting, data) for name in variants}
    last_start = (time.monotonic() + 2 * deadline) / 3
    peaks: dict[str, float | None] = {}  # MiB
    if own_processes:
        calls = {name: partial(peak_memory, arguments[name], device) for name in arguments}
        peaks = measure.in_own_processes(calls, last_start)
        arguments = {name: arguments[name] for name in peaks}
    room = max((peak or 0 for peak in peaks.values()), default=0)

    measure.free()  # an earlier comparison's models
    measure.warm_up(device, setting.dtype)
    steps: dict[str, Variant] = {}
    times: list[dict[str, float]] = []
    for name in arguments:
        if device == "cpu" and measure.available_memory() < room * measure.MIB:
            measure.progress(f"{name}: no memory left beside the earlier variants, left out")
            continue
        if not own_processes and time.monotonic() > last_start:
            measure.progress(f"{name}: no time left, left out")
            continue
        with guard(name):
            made = measure.unless_out_of_memory(name, partial(ready, arguments[name], device))
            if made:
                steps[name] = made
                peaks.setdefault(name, made.peak / measure.MIB)
        yield figures(variants, steps, peaks, times)
    for seconds in islice(measure.rounds(steps, device, deadline, guard=guard), rounds):
        times.append(seconds)
        yield figures(variants, steps, peaks, times)


def figures(
    variants: list[str],
    steps: dict[str, Variant],
    peaks: dict[str, float | None],
    times: list[dict[str, float]],
) -> dict[str, Any]:
    """Compute the figures of variants from the rounds, and from the MiB of each."""
    base = variants[0]
    found = {}
    for name, made in steps.items():
        result = found[name] = measure.summary(times, name, base)
        result["target_tokens"] = made.batch["ntokens"]
        result["updates_skipped"] = made.skipped()
        if "seconds" in result:
            result["tokens_per_second"] = result["target_tokens"] / result["seconds"]
        if peaks[name]:
            result["peak_mib"] = peaks[name]
            if peaks.get(base):
                result["memory_ratio"] = peaks[name] / peaks[base]
    return {
        "work": work(next(iter(steps.values()))) if steps else {},
        "rounds": measure.complete(times),
        "variants": found,
        "left_out": [name for name in variants if name not in steps],
        "times": times,
    }


def work(made: Variant) -> dict[str, Any]:
    """The sizes of model and batch."""
    return {
        "parameters": sum(p.numel() for p in made.trainer.model.parameters()),
        "source_shape": list(made.batch["net_input"]["src_tokens"].shape),
        "target_shape": list(made.batch["target"].shape),
        "target_tokens": made.batch["ntokens"],
    }


def table(figures: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The columns and rows of a comparison."""
    rows = [
        [
            name,
            measure.cell("{:.4f}", result, "seconds"),
            measure.cell("{:.2f} ({:.2f}–{:.2f})", result, "ratio", "ratio_low", "ratio_high"),
            measure.cell("{:,.0f}", result, "tokens_per_second"),
            measure.cell("{:,.0f}", result, "peak_mib"),
            measure.cell("{:.2f}", result, "memory_ratio"),
        ]
        for name, result in figures["variants"].items()
    ]
    return ["variant", "seconds", "× plain (quartiles)", "tokens/s", "peak MiB", "× plain"], rows


def parse() -> argparse.Namespace:
    parser = measure.parser(__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--max-tokens", type=int, default=4096, help="as in fairseq (%(default)s)")
    parser.add_argument(
        "--variants",
        nargs="+",
        type=variant,
        metavar="NAME",
        help=f"of {', '.join(VARIANTS)} (default: all; {', '.join(FEW)} for a large shape on CPU), "
        f"and with +{', +'.join(OPTION_SETS)} after it",
    )
    args = measure.parse(parser)
    if args.dtype == "float16" and args.device == "cpu":
        parser.error("--dtype float16: fairseq trains in float16 on a GPU only")
    if args.max_tokens < 128:
        parser.error("--max-tokens: the longest sentences need 128")
    few = args.device == "cpu" and args.shape not in ("tiny", "small")
    chosen = args.variants or (FEW if few else VARIANTS)
    args.variants = list(dict.fromkeys(["plain", *chosen]))  # the base of all ratios
    return args


def main() -> None:
    args = parse()
    record = measure.Record(args)
    deadline = time.monotonic() + args.seconds
    setting = Setting(args.shape, args.max_tokens, args.dtype, args.device)
    types, _ = SHAPES[args.shape]
    with TemporaryDirectory() as folder:
        write_corpus(Path(folder), types, args.max_tokens)
        measured = comparison(
            *(setting, args.variants, Path(folder), deadline, args.rounds),
            own_processes=args.device == "cpu",
        )
        for found in measured:
            record.write(found)
    record.show(*table(found))
    record.sign(found["rounds"])


if __name__ == "__main__":
    main()
