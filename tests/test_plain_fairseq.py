"""What no patch is for stays as it is: each run here is made with the plugin, and without.

The patches of fairseq are for a run that resumes its own ``checkpoint_last``. A run that starts
from another's checkpoint, or anew, ends with the parameters and the states that fairseq alone gives
it.
"""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_preprocessing_parser, get_training_parser, parse_args_and_arch
from fairseq_cli import preprocess

from .support.forked import train
from .support.training import SMOOTHED, TINY_TRANSFORMER, USER_DIR, assert_equal

pytestmark = pytest.mark.xdist_group("plain fairseq")  # one process trains for all of them
# without the plugin, several trainings one after the other, each as in a process of its own
PLAIN_FAIRSEQ = """
import argparse, json, sys
import torch
from fairseq import checkpoint_utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_training_parser, parse_args_and_arch
from fairseq_cli import train

torch.set_num_threads(1)
torch.serialization.add_safe_globals([argparse.Namespace])  # or torch reads none of its checkpoints
for arguments in json.load(sys.stdin):
    checkpoint_utils.save_checkpoint.__dict__.clear()
    train.should_stop_early.__dict__.clear()
    args = parse_args_and_arch(get_training_parser(), arguments)
    train.main(convert_namespace_to_omegaconf(args))
assert "intra_distill" not in sys.modules
"""
# an epoch of the first data has 19 updates
FIRST = ["--data", "first", "--save-interval-updates", "4"]
OTHER = ["--data", "other", "--save-interval-updates", "4"]
STOPS_EARLY = [*FIRST, "--lr", "0", "--patience", "2", "--max-update", "40"]
FROM = {
    "first": [*FIRST, "--max-update", "22"],
    "stopped": STOPS_EARLY,
}
# by name, what starts from which checkpoint of the runs above, and how
STARTS = {
    "anew": (None, [*OTHER, "--max-update", "9", "--patience", "3"]),
    "restored": ("first/checkpoint_last.pt", [*OTHER, "--max-update", "30"]),
    "restored, finished": ("first/checkpoint_last.pt", [*OTHER, "--max-update", "22"]),
    "restored, after epochs": ("first/checkpoint1.pt", [*FIRST, "--max-update", "45"]),
    "restored, stopped early": (
        "stopped/checkpoint_last.pt",
        [*OTHER, "--patience", "2", "--max-update", "30"],
    ),
    "restored, best": (
        "stopped/checkpoint_best.pt",
        [*OTHER, "--patience", "2", "--max-update", "40", "--lr", "0.001"],
    ),
    "restored, without optimizer": (
        "first/checkpoint_last.pt",
        [*OTHER, "--max-update", "9", "--patience", "2", "--reset-optimizer"],
    ),
    "restored, without anything": (
        "stopped/checkpoint_last.pt",
        [
            *[*OTHER, "--max-update", "9", "--patience", "2", "--reset-optimizer"],
            *["--reset-meters", "--reset-dataloader", "--reset-lr-scheduler"],
        ],
    ),
    "fine-tuned": ("stopped/checkpoint_best.pt", [*OTHER, "--max-update", "9", "--patience", "2"]),
    "language model": (None, [*OTHER, "--max-update", "6"]),
}


@pytest.fixture(scope="module")
def other_data(data, tmp_path_factory) -> Path:
    """Other text in the same words."""
    root = tmp_path_factory.mktemp("other")
    words = random.Random(2)
    for split, pairs in {"train": 150, "valid": 20}.items():
        lines = [" ".join(words.choices("abcdefghij", k=words.randint(1, 9))) for _ in range(pairs)]
        for language in ("de", "en"):
            text = "".join(f"{line}\n" for line in lines)
            (root / f"{split}.{language}").write_text(text, encoding="utf-8")
    options = [
        "-s",
        "de",
        "-t",
        "en",
        "--trainpref",
        f"{root}/train",
        "--validpref",
        f"{root}/valid",
    ]
    options += ["--srcdict", f"{data}/dict.de.txt", "--joined-dictionary", "--workers=1"]
    parser = get_preprocessing_parser()
    preprocess.main(parser.parse_args([*options, "--destdir", f"{root}/bin"]))
    options = [
        "--only-source",
        "--trainpref",
        f"{root}/train.de",
        "--validpref",
        f"{root}/valid.de",
    ]
    options += ["--srcdict", f"{data}/dict.de.txt", "--workers=1"]
    preprocess.main(parser.parse_args([*options, "--destdir", f"{root}/mono"]))
    return root


def arguments_of(name: str, start: str | None, options: list[str], root: Path, texts: dict) -> list:
    """A command line of fairseq-train, whose run is in ``root``."""
    which, options = texts[options[1]], options[2:]
    model = ["--task", "translation", *TINY_TRANSFORMER, *SMOOTHED]
    model += ["--criterion", "label_smoothed_cross_entropy"]
    if name == "language model":
        which = Path(which).with_name("mono")
        model = "--task language_modeling --arch transformer_lm --decoder-layers 1".split()
        model += "--decoder-embed-dim 16 --decoder-attention-heads 2 --tokens-per-sample 9".split()
    if start is not None:
        how = "--finetune-from-model" if name == "fine-tuned" else "--restore-file"
        model += [how, str(root / start)]
    return [
        *[str(which), "--save-dir", str(root / name), *model, "--cpu", "--num-workers", "0"],
        *"--optimizer adam --lr 0.01 --max-tokens 80 --dropout 0.2 --no-progress-bar".split(),
        *options,
    ]


@pytest.fixture(scope="module")
def runs(data, other_data, tmp_path_factory) -> tuple[Path, Path]:
    """The folders of all runs, with the plugin and without."""
    texts = {"first": data, "other": other_data / "bin"}
    ours, plain = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("plain")
    commands: dict[Path, list[list[str]]] = {ours: [], plain: []}
    for root, lines in commands.items():
        for name, options in FROM.items():
            lines.append(arguments_of(name, None, options, root, texts))
        for name, (start, options) in STARTS.items():
            lines.append(arguments_of(name, start, options, root, texts))
    subprocess.run(
        [sys.executable, "-c", PLAIN_FAIRSEQ],
        input=json.dumps(commands[plain]).encode(),
        capture_output=True,
        check=True,
    )
    for line in commands[ours]:
        args = parse_args_and_arch(get_training_parser(), [*line, "--user-dir", USER_DIR])
        assert train(convert_namespace_to_omegaconf(args)) == 0, line
    return ours, plain


def what_counts(path: Path) -> dict[str, Any]:
    """Of a checkpoint, all but paths and times, and what the plugin adds to it."""
    state = torch.load(path)
    extra = {
        name: state["extra_state"].get(name) for name in ("train_iterator", "best", "val_loss")
    }
    parts = ("model", "last_optimizer_state", "optimizer_history")
    return {**extra, **{part: state[part] for part in parts}}


@pytest.mark.parametrize("name", [*FROM, *STARTS])
def test_a_run_is_what_it_is_without_the_plugin(name, runs):
    ours, plain = (root / name for root in runs)
    files = sorted(path.name for path in plain.glob("*.pt"))
    assert files and sorted(path.name for path in ours.glob("*.pt")) == files
    for file in files:
        assert_equal(what_counts(ours / file), what_counts(plain / file))
