"""Time a step of sage against a step of fairseq's Adam or Adamax, on the paper's 50M model.

    python scripts/benchmark/optimizer.py [--base adamax] [--device cuda]

The two optimizers take turns on copies of the same model with the same gradients.
"""

import argparse
import copy
import platform
import time
from statistics import median

import torch
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel
from fairseq.models.transformer.transformer_legacy import transformer_iwslt_de_en
from fairseq.optim.adam import Adam
from fairseq.optim.adamax import Adamax
from torch import nn

from intra_distill.optim.sage import Sage, attention_and_ffn_matrices

TYPES = 12_001  # the dictionary of a joint SentencePiece model of 12,000 pieces


def paper_model() -> nn.Module:
    """Build the paper's IWSLT transformer: 49,976,832 parameters, no shared embeddings."""
    dictionary = Dictionary()
    for i in range(TYPES - len(dictionary)):
        dictionary.add_symbol(str(i))
    args = argparse.Namespace()
    transformer_iwslt_de_en(args)
    task = argparse.Namespace(source_dictionary=dictionary, target_dictionary=dictionary)
    return TransformerModel.build_model(args, task)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", choices=("adam", "adamax"), default="adam")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=15, help="timed steps of each")
    args = parser.parse_args()

    model = paper_model().to(args.device)
    settings = {"lr": 5e-4, "weight_decay": 1e-4}
    fairseq_class = {"adam": Adam, "adamax": Adamax}[args.base]
    plain = fairseq_class(copy.deepcopy(model).parameters(), **settings)
    sage = Sage(model.parameters(), base=args.base, **settings)
    sage.guided = attention_and_ffn_matrices(model)
    gradients = [1e-3 * torch.randn_like(p) for p in model.parameters()]

    times: dict[torch.optim.Optimizer, list[float]] = {plain: [], sage: []}
    for step in range(args.steps + 2):
        for optimizer, seconds in times.items():
            elapsed = timed_step(optimizer, gradients)
            if step >= 2:  # the first creates the state, the second warms up
                seconds.append(elapsed)

    device = torch.cuda.get_device_name() if "cuda" in args.device else platform.processor()
    print(f"{device or platform.machine()}, {torch.get_num_threads()} CPU threads,", end=" ")
    print(f"torch {torch.__version__}, {sum(p.numel() for p in model.parameters()):,} parameters")
    for name, seconds in zip((f"fairseq {args.base}", f"sage on {args.base}"), times.values()):
        print(
            f"{name:16} {1000 * median(seconds):8.2f} ms a step, fastest {1000 * min(seconds):.2f}"
        )
    print(f"ratio of medians {median(times[sage]) / median(times[plain]):.2f}")


if __name__ == "__main__":
    main()
