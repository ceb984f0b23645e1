"""Time, tokens per second and peak memory of a training step with K passes against plain fairseq.

A step is fairseq's own ``Trainer.train_step`` with Adam: forward, backward, update, statistics.
The corpus consists of random tokens, with sentence lengths like those of real text. Every step
takes the same batch, the middle one of those that fairseq makes for --max-tokens. About 8 % of its
target positions are padding, as in Multi30k.

Variants:
  plain        label_smoothed_cross_entropy, one pass
  rdrop        label_smoothed_cross_entropy_with_rdrop, fairseq's R-Drop, two passes
  textbook-3   three separate passes, and the divergence by its definition with autograd
  fused-K      this project: the loss fused with the output projection
  unfused-K    this project with --loss-implementation plain
  one-pass-K   this project with --passes-in-memory 1
  encoder-K    this project with --passes-differ encoder: the decoder takes the passes in turns
  decoder-K    this project with --passes-differ decoder: the encoder runs once
  simcut       this project as SimCut: two passes, cutoff, the divergence kl

Time: all variants are in one process and take turns, one step each per round, so that a ratio to
plain compares steps that are close in time. The table shows medians and quartiles over the rounds.
Memory: each variant makes two updates in its own process; in the second the optimizer's state and
the activations are in memory together. The table shows the peak of model, optimizer, batch and
activations. Tokens are target tokens without padding, counted once for any K.
"""

import math
import random
import time
from collections.abc import Callable
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

VARIANTS = {
    "plain": "--task translation --criterion label_smoothed_cross_entropy",
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
    for _ in range(10_000 * max_tokens // 4096):
        # the spread of lengths and of their ratio as in Multi30k
        source = draw.lognormvariate(math.log(20), 0.35)
        target = source * draw.lognormvariate(0, 0.17)
        for length, (builder, _) in zip((source, target), builders.values()):
            size = (max(1, round(length)),)
            tokens = torch.randint(dictionary.nspecial, types, size, generator=generator)
            builder.add_item(torch.cat([tokens, torch.tensor([dictionary.eos()])]))
    for builder, index in builders.values():
        builder.finalize(index)


def build(arguments: list[str]) -> tuple[Trainer, dict[str, Any]]:
    """Build the trainer for arguments of fairseq-train, and the batch that all steps take."""
    parser = get_training_parser()
    cfg = convert_namespace_to_omegaconf(parse_args_and_arch(parser, arguments))
    utils.set_torch_seed(cfg.common.seed)
    task = tasks.setup_task(cfg.task)
    model = task.build_model(cfg.model)
    trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
    batches = trainer.get_train_iterator(1).next_epoch_itr(shuffle=False)
    batch = next(islice(batches, len(batches) // 2, None))
    trainer.begin_epoch(1)
    return trainer, batch


def step(trainer: Trainer, batch: dict[str, Any]) -> None:
    # copy the batch's dictionaries, in which fairseq's R-Drop doubles the batch; tensors are shared
    trainer.train_step([utils.apply_to_sample(lambda tensor: tensor, batch)], raise_oom=True)


def update(trainer: Trainer, batch: dict[str, Any], updates: int) -> None:
    while trainer.get_num_updates() < updates:  # under fp16 the first steps may overflow
        step(trainer, batch)


def peak_memory(arguments: list[str], device: str) -> int:
    """Measure the bytes above the imported program; must run in a process of its own."""
    return measure.memory_growth(lambda: update(*build(arguments), updates=2), device)


def timed_steps(
    arguments: dict[str, list[str]], device: str, room: float
) -> tuple[dict[str, Callable[[], None]], dict[str, Any]]:
    """Build the steps, after a first update that creates the optimizer's state.

    Args:
        room: MiB that must stay free on the CPU for the largest step
    Returns:
        the steps by name, and the sizes of model and batch
    """
    steps, work = {}, {}
    for name in arguments:
        if device == "cpu" and measure.available_memory() < room * measure.MIB:
            measure.progress(f"{name}: no memory left beside the earlier variants, left out")
            continue
        trainer, batch = build(arguments[name])
        update(trainer, batch, updates=1)
        measure.progress(f"{name}: ready")
        steps[name] = partial(step, trainer, batch)
        work = {
            "parameters": sum(p.numel() for p in trainer.model.parameters()),
            "source_shape": list(batch["net_input"]["src_tokens"].shape),
            "target_shape": list(batch["target"].shape),
            "target_tokens": batch["ntokens"],
        }
    return steps, work


def main() -> None:
    parser = measure.parser(__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--max-tokens", type=int, default=4096, help="as in fairseq (%(default)s)")
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        metavar="NAME",
        help=f"of {', '.join(VARIANTS)} (default: all; {', '.join(FEW)} for a large shape on CPU)",
    )
    args = measure.parse(parser)
    if args.dtype == "float16" and args.device == "cpu":
        parser.error("--dtype float16: fairseq trains in float16 on a GPU only")
    if args.max_tokens < 128:
        parser.error("--max-tokens: the longest sentences need 128")
    few = args.device == "cpu" and args.shape != "small"
    chosen = args.variants or (FEW if few else VARIANTS)
    args.variants = list(dict.fromkeys(["plain", *chosen]))  # the base of all ratios

    start = time.monotonic()
    types, architecture = SHAPES[args.shape]
    with TemporaryDirectory() as folder:
        write_corpus(Path(folder), types, args.max_tokens)
        options = [
            *[folder, "--save-dir", folder, *architecture.split()],
            *f"--max-tokens {args.max_tokens} --num-workers 0 --label-smoothing 0.1".split(),
            *"--optimizer adam --lr 0.0001 --no-progress-bar".split(),
            *{"float32": [], "float16": ["--fp16"], "bfloat16": ["--bf16"]}[args.dtype],
            *(["--cpu"] if args.device == "cpu" else []),
        ]
        arguments = {name: [*options, *VARIANTS[name].split()] for name in args.variants}
        calls = {name: partial(peak_memory, arguments[name], args.device) for name in arguments}
        memory = measure.in_own_processes(calls, start + args.seconds / 2)
        fitting = {name: arguments[name] for name in memory}
        room = max(peak or 0 for peak in memory.values())
        steps, work = timed_steps(fitting, args.device, room)
        timer = measure.rounds(steps, args.device, start + args.seconds)
        times = list(islice(timer, args.rounds))

    results, rows = {}, []
    for name in steps:
        result = results[name] = measure.summary(times, name, "plain")
        if "seconds" in result:
            result["tokens_per_second"] = work["target_tokens"] / result["seconds"]
        if memory[name] and memory["plain"]:
            result["peak_mib"] = memory[name]
            result["memory_ratio"] = memory[name] / memory["plain"]
        row = [
            name,
            measure.cell("{:.3f}", result, "seconds"),
            measure.cell("{:.2f} ({:.2f}–{:.2f})", result, "ratio", "ratio_low", "ratio_high"),
            measure.cell("{:,.0f}", result, "tokens_per_second"),
            measure.cell("{:,.0f}", result, "peak_mib"),
            measure.cell("{:.2f}", result, "memory_ratio"),
        ]
        rows.append(row)
    columns = ["variant", "seconds", "× plain (quartiles)", "tokens/s", "peak MiB", "× plain"]
    complete = sum(len(seconds) == len(steps) for seconds in times)
    measure.report(args, complete, {"work": work, "variants": results}, columns, rows)


if __name__ == "__main__":
    main()
