"""Checkpoints under torch ≥ 2.6, which reads them as data: ours load, what is no checkpoint not."""

import argparse
import io
import os
import re
from pathlib import Path

import pytest
import torch
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models.transformer import TransformerModel
from fairseq.options import (
    get_interactive_generation_parser,
    get_validation_parser,
    parse_args_and_arch,
)
from fairseq_cli import interactive, validate

from intra_distill.checkpoints import num_passes, num_updates, read_checkpoint
from intra_distill.errors import UserError

from .support.checkpoints import fairseq_generate, respell_numpy
from .support.training import INTRA, USER_DIR, run_training

EVAL_BLEU = ["--eval-bleu", "--eval-bleu-args", '{"beam":1,"max_len_b":5}']
BEST_BLEU = ["--best-checkpoint-metric", "bleu", "--maximize-best-checkpoint-metric"]
GENERATE = f"--user-dir {USER_DIR} --cpu --beam 2 --num-workers 0".split()


@pytest.fixture
def checkpoint(configure, tmp_path) -> str:
    """Of an intra-distilled run that selects by BLEU, whose metrics hold numpy arrays."""
    cfg = configure(*INTRA, *EVAL_BLEU, *BEST_BLEU, "--patience", "3", "--max-update", "4")
    run_training(cfg)
    return str(tmp_path / "checkpoints" / "checkpoint_best.pt")


def test_it_trains_on_from_a_checkpoint_with_bleu(configure, checkpoint):
    cfg = configure(*INTRA, *EVAL_BLEU, *BEST_BLEU, "--max-update", "6")
    run_training(cfg)
    state = torch.load(checkpoint.replace("best", "last"), weights_only=True)
    assert state["optimizer_history"][-1]["num_updates"] == 6


def test_it_is_read_under_another_numpy(configure, checkpoint):
    """numpy 2 gave the module of its arrays another name."""
    last = Path(checkpoint).with_name("checkpoint_last.pt")
    written = repr(torch.load(last)["extra_state"]["metrics"])
    assert respell_numpy(last)
    for state in (torch.load(last, weights_only=True), read_checkpoint(last)):
        assert repr(state["extra_state"]["metrics"]) == written
    run_training(configure(*INTRA, *EVAL_BLEU, *BEST_BLEU, "--max-update", "6"))
    assert num_updates(read_checkpoint(last)) == 6


def command_config(parser, *arguments):
    options = [*arguments, "--user-dir", USER_DIR, "--cpu"]
    return convert_namespace_to_omegaconf(parse_args_and_arch(parser, options))


def test_fairseq_generate_reads_it(checkpoint, data, tmp_path):
    assert len(fairseq_generate(data, checkpoint, tmp_path)) == 20


def test_fairseq_interactive_reads_it(checkpoint, data, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("a b c\n"))
    parser = get_interactive_generation_parser()
    interactive.main(command_config(parser, data, "--path", checkpoint, "--beam", "2"))
    assert "H-0" in capsys.readouterr().out


def test_fairseq_validate_reads_it(checkpoint, data, capsys):
    task = ["--task", "translation_intra_distillation", "--max-tokens", "100"]
    validate.main(command_config(get_validation_parser(), data, "--path", checkpoint, *task))
    # it writes its log there, whoever else had listened to it
    assert re.search(r"\| valid \|.* loss [\d.]+", capsys.readouterr().out)


def test_from_pretrained_reads_it(checkpoint, data):
    folder, name = os.path.split(checkpoint)
    model = TransformerModel.from_pretrained(folder, name, data, user_dir=USER_DIR)
    assert isinstance(model.translate("a b c"), str)


# Of what is read, in any command


@pytest.fixture
def written(trainer, tmp_path) -> Path:
    """A checkpoint that fairseq-train would have written, untrained."""
    built, path = trainer(*INTRA), tmp_path / "checkpoint.pt"
    built.consolidate_optimizer()
    built.save_checkpoint(str(path), {"train_iterator": {"epoch": 1}})
    return path


NO_CHECKPOINT = {"model": {}, "cfg": {}, "optimizer_history": [], "extra_state": {}}


@pytest.mark.parametrize(
    "spoil, message",
    [
        (Path.unlink, "there is no such checkpoint"),
        (lambda path: path.write_text("text"), "is not a PyTorch checkpoint, or only a part of"),
        *(
            (
                lambda path, size=size: path.write_bytes(path.read_bytes()[:size]),
                "is not a PyTorch checkpoint, or only a part of one",
            )
            for size in (0, 1, 1000, -1, -1000)
        ),
        (lambda path: torch.save([1], path), "is not a checkpoint that fairseq-train wrote"),
        (lambda path: torch.save({"model": {}}, path), "not a checkpoint that fairseq-train wrote"),
        *(
            (
                lambda path, wrong=wrong: torch.save(NO_CHECKPOINT | wrong, path),
                "not a checkpoint that fairseq-train wrote",
            )
            for wrong in (
                {},
                {"optimizer_history": [{}], "model": []},
                {"optimizer_history": [{}], "extra_state": None},
            )
        ),
        (lambda path: torch.save(Path, path), "is refused: it is no plain data"),
    ],
)
def test_what_is_no_checkpoint_is_refused(written, spoil, message):
    read_checkpoint(written)
    spoil(written)
    with pytest.raises(UserError, match=f"{written}.* {message}"):
        read_checkpoint(written)


@pytest.mark.parametrize(
    "task, K",
    [
        ({"num_passes": 5}, 5),
        (argparse.Namespace(num_passes=4), 4),
        ({"_name": "translation"}, 1),
        ({"num_passes": None}, 1),
        (None, 1),
    ],
)
def test_the_number_of_passes_is_in_the_configuration(task, K):
    assert num_passes({"cfg": {"task": task}}) == K
