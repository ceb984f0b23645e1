"""Checkpoints: trained on a data directory, changed, and translated with by fairseq itself."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq_cli import generate

from .training import USER_DIR, run_training


def train_model(data: Path, folder: Path, updates: int, *arguments: str) -> Path:
    """Train a tiny transformer → its last checkpoint."""
    sides = ("encoder", "decoder")
    args = options.parse_args_and_arch(
        options.get_training_parser(),
        [
            *(str(data), "--save-dir", str(folder), "--cpu", "--no-progress-bar"),
            *("--user-dir", USER_DIR, *arguments),
            *("--arch", "transformer", "--share-all-embeddings", "--dropout", "0.01"),
            *(f"--{side}-{size}" for side in sides for size in ("layers=1", "embed-dim=16")),
            *(f"--{side}-ffn-embed-dim=32" for side in sides),
            *(f"--{side}-attention-heads=1" for side in sides),
            *("--optimizer", "adam", "--lr", "0.02", "--max-tokens", "1000"),
            *("--max-update", str(updates), "--no-epoch-checkpoints", "--disable-validation"),
            *("--num-workers", "0", "--required-batch-size-multiple", "1"),
        ],
    )
    run_training(convert_namespace_to_omegaconf(args))
    return folder / "checkpoint_last.pt"


def change_checkpoint(path: Path, target: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Write a checkpoint whose content is changed in place."""
    state = torch.load(path, weights_only=True)
    change(state)
    target.parent.mkdir(exist_ok=True)
    torch.save(state, target)
    return target


def rewrite_pickle(path: Path, old: bytes, new: bytes) -> bool:
    """Replace bytes in the pickle of a checkpoint → whether it had them."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    (pickled,) = (name for name in members if name.endswith("/data.pkl"))
    had = old in members[pickled]
    members[pickled] = members[pickled].replace(old, new)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return had


def respell_numpy(path: Path) -> bool:
    """Rewrite a checkpoint as the other numpy, 1 or 2, would have written it → whether it can."""
    names = [b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"]
    ours = np.lib.NumpyVersion(np.__version__) >= "2.0.0"
    return rewrite_pickle(path, names[ours], names[not ours])


def remove_half(state: dict[str, Any]) -> None:
    """Prune half of each tensor of a checkpoint at random, and drop the optimizer's state."""
    torch.manual_seed(1)
    for tensor in state["model"].values():
        if tensor.numel() > 1:  # not fairseq's version of the model
            tensor[torch.rand_like(tensor) < 0.5] = 0
    del state["last_optimizer_state"]


def fairseq_generate(data: str | Path, checkpoint: str | Path, folder: Path) -> list[str]:
    """The hypotheses of fairseq-generate for the test set of a data directory."""
    arguments = [str(data), "--path", str(checkpoint), "--user-dir", USER_DIR, "--cpu"]
    arguments += ["--results-path", str(folder), "--num-workers", "0", "--beam", "2"]
    arguments += ["--required-batch-size-multiple", "1", "--max-len-b", "5"]
    args = options.parse_args_and_arch(options.get_generation_parser(), arguments)
    generate.main(convert_namespace_to_omegaconf(args))
    lines = (folder / "generate-test.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("H-")]
