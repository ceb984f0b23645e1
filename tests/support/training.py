"""fairseq-train in this process: tiny models, the options of each system, and its death."""

from pathlib import Path
from typing import Any

import torch
from fairseq.trainer import Trainer
from fairseq_cli import train

import intra_distill

CONFIGS = Path(__file__).parents[2] / "configs"
USER_DIR = str(Path(intra_distill.__file__).parent)
TINY_TRANSFORMER = [
    *"--arch transformer --encoder-layers 1 --decoder-layers 1".split(),
    *"--encoder-embed-dim 16 --decoder-embed-dim 16".split(),
    *"--encoder-ffn-embed-dim 32 --decoder-ffn-embed-dim 32".split(),
    *"--encoder-attention-heads 2 --decoder-attention-heads 2".split(),
]
LSTM = (
    "--arch lstm --encoder-embed-dim 16 --encoder-hidden-size 16 --decoder-embed-dim 16 "
    "--decoder-hidden-size 16 --decoder-out-embed-dim 16"
).split()
TASK = ["--task", "translation_intra_distillation"]
SMOOTHED = ["--label-smoothing", "0.1"]
PLAIN = [*TASK, "--num-passes", "1", "--criterion", "label_smoothed_cross_entropy", *SMOOTHED]
SELF = ["--task", "translation", "--criterion", "self_distillation", *SMOOTHED]
INTRA = [*TASK, "--num-passes", "3", "--criterion", "intra_distillation", *SMOOTHED]


def run_training(cfg) -> None:
    """fairseq-train in this process."""
    train.main(cfg)


class Killed(Exception):
    pass


def kill_at(monkeypatch, update: int) -> None:
    """The next training dies as it begins this update."""
    train_step = Trainer.train_step

    def killed(self, samples, raise_oom=False):
        if self.get_num_updates() == update:
            raise Killed
        return train_step(self, samples, raise_oom)

    monkeypatch.setattr(Trainer, "train_step", killed)


def assert_equal(ours: Any, theirs: Any) -> None:
    """To the last bit, tensors in dicts and lists as well."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert_equal(ours[key], theirs[key])
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs):
            assert_equal(mine, other)
    elif isinstance(ours, torch.Tensor):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    else:
        assert ours == theirs
