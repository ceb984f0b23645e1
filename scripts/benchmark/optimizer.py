"""Time a step of each optimizer, on the paper's 50M model and on Multi30k's 1M model.

    python scripts/benchmark/optimizer.py [--optimizers adam fused_adam sage] [--device cuda]

The optimizers take turns on copies of the same model with the same gradients. Ratios are to the
first of them.
"""

import argparse
import copy
import platform
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel
from fairseq.models.transformer.transformer_legacy import transformer_iwslt_de_en
from fairseq.optim.adam import Adam
from fairseq.optim.adamax import Adamax
from torch import nn

from intra_distill.optim.fused_adam import FusedAdam
from intra_distill.optim.sage import Sage, attention_and_ffn_matrices

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": Adam,
    "adamax": Adamax,
    "fused_adam": FusedAdam,
    "sage": partial(Sage, base="adam"),
    "sage-adamax": partial(Sage, base="adamax"),
}
SIZES = {"layers": 2, "embed_dim": 128, "ffn_embed_dim": 256}
SMALL = {f"{side}_{size}": n for side in ("encoder", "decoder") for size, n in SIZES.items()}
# types of the dictionary, and what differs from fairseq's transformer_iwslt_de_en
MODELS = {
    "iwslt14": (12_001, {}),
    "multi30k": (3_001, {**SMALL, "share_all_embeddings": True}),
}


def build_model(types: int, sizes: dict[str, int]) -> nn.Module:
    """Build a transformer with a dictionary of that many types."""
    dictionary = Dictionary()
    for i in range(types - len(dictionary)):
        dictionary.add_symbol(str(i))
    args = argparse.Namespace(**sizes)
    transformer_iwslt_de_en(args)
    task = argparse.Namespace(source_dictionary=dictionary, target_dictionary=dictionary)
    return TransformerModel.build_model(args, task)


def build_optimizer(name: str, model: nn.Module) -> torch.optim.Optimizer:
    optimizer = OPTIMIZERS[name](model.parameters(), lr=5e-4, weight_decay=1e-4)
    if isinstance(optimizer, Sage):
        optimizer.guided = attention_and_ffn_matrices(model)
    return optimizer


def timed_step(optimizer: torch.optim.Optimizer, gradients: list[torch.Tensor]) -> float:
    """Time one step, in seconds, on copied gradients, since fairseq's Adamax changes them."""
    parameters = optimizer.param_groups[0]["params"]
    for p, gradient in zip(parameters, gradients):
        p.grad = gradient.clone()
    on_gpu = parameters[0].is_cuda
    if on_gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    optimizer.step()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(model: nn.Module, names: list[str], steps: int) -> dict[str, list[float]]:
    """Time steps of each optimizer on copies of a model → seconds by name."""
    optimizers = {name: build_optimizer(name, copy.deepcopy(model)) for name in names}
    gradients = [1e-3 * torch.randn_like(p) for p in model.parameters()]
    times = {name: [] for name in names}
    for step in range(steps + 2):
        for name, optimizer in optimizers.items():
            elapsed = timed_step(optimizer, gradients)
            if step >= 2:  # the first creates the state, the second warms up
                times[name].append(elapsed)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--optimizers", nargs="+", choices=OPTIMIZERS, default=["adam", "fused_adam", "sage"]
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=15, help="timed steps of each")
    args = parser.parse_args()

    print("| model | optimizer | ms a step | fastest | ratio of medians |")
    print("| --- | --- | ---: | ---: | ---: |")
    for name in args.models:
        model = build_model(*MODELS[name]).to(args.device)
        times = measure(model, args.optimizers, args.steps)
        size = f"{name}, {sum(p.numel() for p in model.parameters()) / 1e6:.1f}M"
        first = median(times[args.optimizers[0]])
        for optimizer, seconds in times.items():
            typical, fastest = 1000 * median(seconds), 1000 * min(seconds)
            ratio = median(seconds) / first
            print(f"| {size} | {optimizer} | {typical:.2f} | {fastest:.2f} | {ratio:.2f} |")
    device = torch.cuda.get_device_name() if "cuda" in args.device else platform.processor()
    where = f"{device or platform.machine()}, {torch.get_num_threads()} CPU threads"
    print(f"\n{where}, torch {torch.__version__}, {args.steps} steps of each")


if __name__ == "__main__":
    main()
