"""The benchmarks of scripts/benchmark: do they measure what they say?"""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch

from intra_distill.core.divergence import x_divergence
from intra_distill.core.loss import intra_distillation_loss

from .support.checkpoints import train_model
from .support.training import TINY_TRANSFORMER

SCRIPTS = Path(__file__).parents[1] / "scripts" / "benchmark"
sys.path.append(str(SCRIPTS))
measure = import_module("measure")
train_step = import_module("train_step")

MIB = 2**20


def run(script, *arguments):
    command = [sys.executable, str(SCRIPTS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_round_begins_with_another_function():
    calls = []
    functions = {name: partial(calls.append, name) for name in "abc"}
    rounds = measure.rounds(functions, "cpu", time.monotonic() + 60)
    assert [set(next(rounds)) for _ in range(3)] == [set("abc")] * 3
    assert "".join(calls) == "abcbcacab"


def test_no_call_is_begun_that_would_end_past_the_deadline():
    functions = {"quick": partial(time.sleep, 0.001), "slow": partial(time.sleep, 0.4)}
    rounds = list(measure.rounds(functions, "cpu", time.monotonic() + 0.6))
    assert [sorted(seconds) for seconds in rounds][0] == ["quick", "slow"]
    assert sum("slow" in seconds for seconds in rounds) == 1
    assert list(measure.rounds(functions, "cpu", time.monotonic() - 1)) == [{}]


def test_ratios_are_taken_within_a_round():
    rounds = [{"base": 1.0, "x": 2.0}, {"base": 10.0, "x": 30.0}, {"base": 1.0, "x": 4.0}]
    summary = measure.summary([*rounds, {"x": 100.0}], "x", "base")
    assert (summary["ratio_low"], summary["ratio"], summary["ratio_high"]) == (2.5, 3.0, 3.5)
    assert summary["seconds"] == 17.0
    assert summary["all_seconds"] == [2.0, 30.0, 4.0, 100.0]
    assert "ratio" not in measure.summary([{}], "x", "base")


def test_the_peak_of_a_call_counts_though_it_is_gone_when_the_call_ends():
    def call():
        torch.ones(64 * MIB // 4)
        torch.ones(16 * MIB // 4)

    assert measure.memory_growth(call, "cpu") == pytest.approx(64 * MIB, rel=0.05)
    assert measure.memory_growth(lambda: None, "cpu") < MIB


def test_a_process_that_is_killed_leaves_the_others_their_results():
    calls = {
        "killed": partial(signal.raise_signal, signal.SIGKILL),
        "whole": partial(int, 5 * MIB),
    }
    assert measure.in_own_processes(calls, time.monotonic() + 300) == {"whole": 5.0}
    assert measure.in_own_processes(calls, time.monotonic() - 1) == {"killed": None, "whole": None}


def test_a_process_that_fails_ends_the_benchmark():
    with pytest.raises(SystemExit, match="broken failed"):
        measure.in_own_processes({"broken": partial(os._exit, 1)}, time.monotonic() + 300)


@pytest.mark.parametrize("K", [2, 5])
def test_the_textbook_divergence_is_the_x_divergence(K):
    torch.manual_seed(K)
    lprobs = torch.randn(K, 3, 4, 11, dtype=torch.float64).log_softmax(-1)
    actual = train_step.definition_of_x(list(lprobs.exp()), list(lprobs))
    torch.testing.assert_close(actual, x_divergence(lprobs))


def test_the_textbook_criterion_computes_equation_10(trainer):
    arguments = "--task translation --criterion textbook --num-passes 3 --label-smoothing 0.1"
    trainer = trainer(*arguments.split())
    sample = next(batch for batch in trainer.batches if batch["target"].eq(1).any())  # padded
    target = sample["target"]
    logits = torch.randn(3, *target.shape, len(trainer.task.target_dictionary))
    passes = iter(logits)

    class Model:
        def __call__(self, **net_input):
            return next(passes)

        def get_normalized_probs(self, output, log_probs):
            return output.log_softmax(-1) if log_probs else output.softmax(-1)

        def get_targets(self, sample, output):
            return sample["target"]

    loss, sample_size, _ = trainer.criterion(Model(), sample)
    scored = target.ne(trainer.criterion.padding_idx)
    lprobs = logits.log_softmax(-1)[:, scored]
    alpha = train_step.ALPHA
    expected = intra_distillation_loss(lprobs, target[scored], alpha, x_divergence, 0.1)
    torch.testing.assert_close(loss, expected.loss)
    assert sample_size == scored.sum()


def arguments_of(variant, data, tmp_path):
    settings = "--cpu --optimizer adam --lr 0.01 --max-tokens 80 --dropout 0.2 --num-workers 0"
    options = [*settings.split(), *TINY_TRANSFORMER, *train_step.VARIANTS[variant].split()]
    return [data, "--save-dir", str(tmp_path), "--label-smoothing", "0.1", *options]


@pytest.mark.parametrize("variant", train_step.VARIANTS)
def test_every_variant_trains_and_leaves_its_batch_alone(variant, data, tmp_path):
    trainer, batch = train_step.build(arguments_of(variant, data, tmp_path))
    before = [p.clone() for p in trainer.model.parameters()]
    shape = batch["net_input"]["src_tokens"].shape
    train_step.update(trainer, batch, updates=2)
    assert trainer.get_num_updates() == 2
    assert any(p.ne(old).any() for p, old in zip(trainer.model.parameters(), before))
    assert batch["net_input"]["src_tokens"].shape == shape


@pytest.mark.parametrize("shape, parameters", [("iwslt", 49_976_832), ("wmt", 274_664_448)])
def test_the_shapes_are_the_models_of_the_paper(shape, parameters, tmp_path):
    types, architecture = train_step.SHAPES[shape]
    train_step.write_corpus(tmp_path, types, max_tokens=128)
    parser = train_step.get_training_parser()
    arguments = [str(tmp_path), "--task", "translation", "--cpu", *architecture.split()]
    args = train_step.parse_args_and_arch(parser, arguments)
    cfg = train_step.convert_namespace_to_omegaconf(args)
    with torch.device("meta"):
        model = train_step.tasks.setup_task(cfg.task).build_model(cfg.model)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_batch_is_nearly_full_and_partly_padding(tmp_path):
    train_step.write_corpus(tmp_path, types=100, max_tokens=4096)
    options = f"--save-dir {tmp_path} --max-tokens 4096 --num-workers 0 --cpu --optimizer adam"
    variant = train_step.VARIANTS["plain"]
    arguments = [str(tmp_path), *options.split(), *TINY_TRANSFORMER, *variant.split()]
    _, batch = train_step.build(arguments)
    assert 3500 <= batch["target"].numel() <= 4096
    padding = 1 - batch["ntokens"] / batch["target"].numel()
    assert 0.06 < padding < 0.11


def test_train_step_writes_what_it_measured(tmp_path):
    file = tmp_path / "steps.json"
    options = f"--variants fused-2 --max-tokens 128 --device cpu --rounds 2 --json {file}"
    done = run("train_step.py", *options.split())
    assert done.returncode == 0, done.stderr
    result = json.loads(file.read_text())
    assert list(result["variants"]) == ["plain", "fused-2"]
    assert result["options"]["shape"] == "small"
    assert result["machine"]["torch"] == torch.__version__
    plain, fused = result["variants"].values()
    assert plain["ratio"] == plain["memory_ratio"] == 1
    assert fused["ratio_low"] <= fused["ratio"] <= fused["ratio_high"]
    assert fused["memory_ratio"] == fused["peak_mib"] / plain["peak_mib"]
    tokens = result["work"]["target_tokens"]
    assert fused["tokens_per_second"] == pytest.approx(tokens / fused["seconds"])
    # parameters, gradients and Adam's two moments are the least that a step holds
    assert plain["peak_mib"] > 16 * result["work"]["parameters"] / MIB
    assert len(plain["all_seconds"]) == result["rounds"] == 2
    assert f"| fused-2 | {fused['seconds']:.3f} | {fused['ratio']:.2f} (" in done.stdout


def test_loss_writes_what_it_measured(tmp_path):
    file = tmp_path / "loss.json"
    options = f"--cases 1x64x5000 --positions 50 --device cpu --rounds 2 --json {file}"
    done = run("loss.py", *options.split())
    assert done.returncode == 0, done.stderr
    (case,) = json.loads(file.read_text())["cases"]
    assert [case[key] for key in ("K", "N", "d", "V")] == [1, 50, 64, 5000]
    assert case["ways"][case["floor"]]["ratio"] == 1
    assert case["ways"]["fused"]["seconds"] > 0
    assert case["ways"]["fused"]["extra_mib"] < case["ways"]["reference"]["extra_mib"]
    assert f"| 1 | 64 | 5,000 | {case['ways'][case['floor']]['seconds']:.3f} |" in done.stdout


@pytest.mark.parametrize(
    "script, options, reason",
    [
        ("train_step", "--json /nowhere/x.json", "there is no folder /nowhere"),
        ("train_step", "--variants fused-9", "invalid choice: 'fused-9'"),
        ("train_step", "--dtype float16 --device cpu", "on a GPU only"),
        ("train_step", "--max-tokens 9", "the longest sentences need 128"),
        ("loss", "--cases 3x512", "invalid case value: '3x512'"),
    ],
)
def test_a_bad_option_is_refused_before_any_work(script, options, reason, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script, *options.split()])
    monkeypatch.setattr(measure, "silence", lambda: None)  # it would hold for later tests
    with pytest.raises(SystemExit) as refusal:
        import_module(script).main()
    assert refusal.value.code == 2
    assert reason in capsys.readouterr().err


def test_translation_compares_fairseq_with_its_export(prepared, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ctranslate2", reason="an optional package")
    checkpoint = train_model(prepared, tmp_path, 1, "--task", "translation")
    text = [str(prepared / name) for name in ("test.src.de", "test.ref.en")]
    options = ["--beams", "2", "--rounds", "1", "--quantization", "float32"]
    argv = ["translation.py", str(prepared), str(checkpoint), *text, *options]
    monkeypatch.setattr(sys, "argv", argv)
    import_module("translation").main()
    fairseq, exported = capsys.readouterr().out.splitlines()
    assert fairseq.startswith("beam 2 fairseq    BLEU ") and "  1.0 times as fast" in fairseq
    assert exported.startswith("beam 2 float32    BLEU ") and "   0 of 19 differ" in exported
