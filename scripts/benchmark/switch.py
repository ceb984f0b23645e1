"""Time a training step of the Switch Transformer against the dense one's, in the IWSLT shape.

    python scripts/benchmark/switch.py [--num-experts 4] [--device cuda]

A step is fairseq's own with Adam: forward, backward, update, statistics. The models take turns on
the same batch of random tokens, with sentence lengths like those of real text.
"""

import argparse
import logging
import platform
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from train_step import build, step, write_corpus

TYPES = 12_001  # the dictionary of a joint SentencePiece model of 12,000 pieces


def timed_step(trainer, batch, on_gpu: bool) -> float:
    """Time one step, in seconds."""
    if on_gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    step(trainer, batch)
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-experts", default="4")
    parser.add_argument("--num-passes", default="1", help="K; above 1 intra-distillation")
    parser.add_argument("--max-tokens", type=int, default=4096, help="of a batch (%(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=7, help="timed steps of each (%(default)s)")
    args = parser.parse_args()
    logging.disable(logging.INFO)

    criterion = "label_smoothed_cross_entropy" if args.num_passes == "1" else "intra_distillation"
    times: dict[str, list[float]] = {"transformer": [], "switch_transformer": []}
    with TemporaryDirectory() as folder:
        write_corpus(Path(folder), TYPES, args.max_tokens)
        options = [
            *[folder, "--save-dir", folder, "--max-tokens", str(args.max_tokens)],
            *["--task", "translation_intra_distillation", "--num-passes", args.num_passes],
            *["--criterion", criterion, "--label-smoothing", "0.1", "--max-update", "1000"],
            *"--optimizer adam --lr 0.0001 --dropout 0.3 --attention-dropout 0.1".split(),
            *"--num-workers 0 --no-progress-bar".split(),
            *(["--cpu"] if args.device == "cpu" else []),
        ]
        experts = {"switch_transformer": ["--num-experts", args.num_experts]}
        built = {
            name: build([*options, "--arch", f"{name}_iwslt_de_en", *experts.get(name, [])])
            for name in times
        }
    for i in range(args.steps + 2):
        for name, seconds in times.items():
            elapsed = timed_step(*built[name], on_gpu=args.device == "cuda")
            if i >= 2:  # the first creates the optimizer's state, the second warms up
                seconds.append(elapsed)

    device = torch.cuda.get_device_name() if args.device == "cuda" else platform.machine()
    tokens = built["transformer"][1]["ntokens"]
    print(f"{device}, {torch.get_num_threads()} CPU threads, torch {torch.__version__},", end=" ")
    print(f"{tokens} target tokens, K = {args.num_passes}")
    for name, seconds in times.items():
        print(f"{name:18} {median(seconds):8.3f} s a step, fastest {min(seconds):.3f}")
    ratios = [switch / dense for dense, switch in zip(*times.values())]
    print(f"median of the ratios {median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
