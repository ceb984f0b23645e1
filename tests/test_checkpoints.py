"""Checkpoints under torch ≥ 2.6, which reads them as data: ours load, a malicious one does not."""

import io
import os
import re

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models.transformer import TransformerModel
from fairseq.options import (
    get_generation_parser,
    get_interactive_generation_parser,
    get_validation_parser,
    parse_args_and_arch,
)
from fairseq_cli import generate, interactive, validate

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


def generation_config(parser, *arguments):
    return convert_namespace_to_omegaconf(parse_args_and_arch(parser, list(arguments)))


def test_fairseq_generate_reads_it(checkpoint, data, tmp_path):
    cfg = generation_config(
        get_generation_parser(), data, "--path", checkpoint, *GENERATE, "--max-len-b", "5",
        "--results-path", str(tmp_path), "--required-batch-size-multiple", "1",
    )  # fmt: skip
    generate.main(cfg)
    lines = (tmp_path / "generate-test.txt").read_text().splitlines()
    assert sum(line.startswith("H-") for line in lines) == 20


def test_fairseq_interactive_reads_it(checkpoint, data, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("a b c\n"))
    cfg = generation_config(
        get_interactive_generation_parser(), data, "--path", checkpoint, *GENERATE[:-2],
    )  # fmt: skip
    interactive.main(cfg)
    assert "H-0" in capsys.readouterr().out


def test_fairseq_validate_reads_it(checkpoint, data, capsys):
    cfg = generation_config(
        get_validation_parser(), data, "--path", checkpoint, "--user-dir", USER_DIR, "--cpu",
        "--task", "translation_intra_distillation", "--max-tokens", "100",
    )  # fmt: skip
    validate.main(cfg)
    # it writes its log there, whoever else had listened to it
    assert re.search(r"\| valid \|.* loss [\d.]+", capsys.readouterr().out)


def test_from_pretrained_reads_it(checkpoint, data):
    folder, name = os.path.split(checkpoint)
    model = TransformerModel.from_pretrained(folder, name, data, user_dir=USER_DIR)
    assert isinstance(model.translate("a b c"), str)


class Payload:
    """Pickled, it asks for a program to be run on loading."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    evidence = tmp_path / "ran"
    path = str(tmp_path / "evil.pt")
    torch.save({"model": {}, "cfg": Payload(str(evidence))}, path)
    with pytest.raises(Exception, match="[Ww]eights.only"):
        checkpoint_utils.load_checkpoint_to_cpu(path)
    assert not evidence.exists()
    torch.load(path, weights_only=False)  # the payload is real
    assert evidence.exists()
