"""A tiny parallel corpus, and fairseq's own entry points run on it in this process."""

import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_preprocessing_parser, get_training_parser, parse_args_and_arch
from fairseq.trainer import Trainer
from fairseq_cli import preprocess, train

import intra_distill

pytest_plugins = ["tests.faults.table"]
CONFIGS = Path(__file__).parents[1] / "configs"
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
INTRA = [*TASK, "--num-passes", "3", "--criterion", "intra_distillation", *SMOOTHED]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "ignore::UserWarning")  # hydra's, of fairseq
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning")
    config.addinivalue_line("filterwarnings", "ignore::FutureWarning")


def run_training(cfg) -> None:
    """fairseq-train in this process, free of what an earlier run left in it."""
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        train.main(cfg)
    finally:
        signal.signal(signal.SIGTERM, on_sigterm)


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


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)  # the models are tiny, and other tests may run beside


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> str:
    """A data directory: the target is the source reversed, with one word changed."""
    root = tmp_path_factory.mktemp("corpus")
    words = random.Random(1)
    for split, pairs in {"train": 200, "valid": 20, "test": 20}.items():
        source = [words.choices("abcdefghij", k=words.randint(1, 9)) for _ in range(pairs)]
        target = [["x" if word == "a" else word for word in line[::-1]] for line in source]
        for language, lines in {"de": source, "en": target}.items():
            text = "".join(" ".join(line) + "\n" for line in lines)
            (root / f"{split}.{language}").write_text(text, encoding="utf-8")
    prefixes = [f"--{split}pref={root / split}" for split in ("train", "valid", "test")]
    options = ["--joined-dictionary", "--workers=1", f"--destdir={root / 'bin'}"]
    parser = get_preprocessing_parser()
    preprocess.main(parser.parse_args(["-s", "de", "-t", "en", *prefixes, *options]))
    return str(root / "bin")


@pytest.fixture
def configure(data, tmp_path):
    """Command-line arguments of fairseq-train → its configuration, on the tiny corpus."""

    def configure(*arguments, model=TINY_TRANSFORMER):
        settings = [
            *["--user-dir", USER_DIR, "--save-dir", str(tmp_path / "checkpoints"), "--cpu"],
            *"--optimizer adam --lr 0.01 --max-tokens 80 --max-update 12".split(),
            *"--dropout 0.2 --num-workers 0 --no-progress-bar".split(),
        ]
        parser = get_training_parser()
        return convert_namespace_to_omegaconf(
            parse_args_and_arch(parser, [data, *settings, *model, *arguments])
        )

    return configure


@pytest.fixture
def trainer(configure):
    """Arguments → a trainer before its first update, with its batches as ``trainer.batches``."""

    def build(*arguments, **kwargs):
        cfg = configure(*arguments, **kwargs)
        utils.set_torch_seed(cfg.common.seed)
        task = tasks.setup_task(cfg.task)
        model = task.build_model(cfg.model)
        trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
        trainer.batches = list(trainer.get_train_iterator(1).next_epoch_itr(shuffle=False))
        trainer.begin_epoch(1)
        return trainer

    return build


@pytest.fixture
def gradients():
    """One forward and backward of a trainer's task, under a seed → loss, its parts, gradients."""

    def gradients(trainer, sample, update=0, seed=7):
        trainer.zero_grad()
        torch.manual_seed(seed)
        loss, sample_size, logging_output = trainer.task.train_step(
            sample, trainer.model, trainer.criterion, trainer.optimizer, update
        )
        grads = {n: p.grad.clone() for n, p in trainer.model.named_parameters()}
        return loss.detach(), sample_size, logging_output, grads

    return gradients
