"""The benchmarks, and the parts of a run on a GPU that measure: do they measure what they say?"""

import argparse
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import weakref
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch

from intra_distill.core import fused_loss
from intra_distill.core.divergence import x_divergence
from intra_distill.core.loss import intra_distillation_loss

from .support.checkpoints import train_model
from .support.training import TINY_TRANSFORMER

SCRIPTS = Path(__file__).parents[1] / "scripts" / "benchmark"
PARTS = SCRIPTS.parent / "gpu"
sys.path.append(str(PARTS))
part = import_module("part")  # it also finds the benchmarks
measure = import_module("measure")
train_step = import_module("train_step")
loss = import_module("loss")

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
    assert "ratio" not in measure.summary([{}], "x", "base")
    assert measure.ratio(rounds, "x", "base") == 3.0
    assert measure.ratio(rounds, "x", "y") is None
    assert measure.complete([*rounds, {"x": 100.0}, {}]) == 3


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
    calls = {"broken": partial(os._exit, 1)}
    with pytest.raises(RuntimeError, match="broken failed"):
        measure.in_own_processes(calls, time.monotonic() + 300)


class FakeAllocator:
    """CUDA's, as far as the benchmarks ask it."""

    def __init__(self, monkeypatch):
        self.now = self.peak = 7 * MIB  # what others hold
        answers = {"init": None, "empty_cache": None, "reset_peak_memory_stats": self.reset}
        answers |= {"memory_allocated": lambda: self.now, "max_memory_allocated": lambda: self.peak}
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, answer or (lambda: None))

    def reset(self):
        self.peak = self.now

    def allocate(self, size):
        self.now += size
        self.peak = max(self.peak, self.now)


def test_fairseq_does_not_hide_the_peak_of_an_update_on_cuda(monkeypatch):
    allocator = FakeAllocator(monkeypatch)

    def update():
        allocator.allocate(100)
        allocator.allocate(-80)
        torch.cuda.reset_peak_memory_stats()  # as its trainer does after each

    assert measure.memory_growth(update, "cuda") == 100
    assert measure.memory_growth(lambda: None, "cuda") == 0  # what stays is of the first call
    torch.cuda.reset_peak_memory_stats()
    assert allocator.peak == allocator.now


def test_what_runs_out_of_memory_is_freed_and_left_out(monkeypatch, capsys):
    freed = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(model() is None))

    class Model(torch.nn.Module):
        pass

    def too_large():
        nonlocal model
        built = Model()
        built.itself = [built]  # a cycle, as models have
        model = weakref.ref(built)
        raise torch.OutOfMemoryError("CUDA out of memory")

    model = None
    gc.disable()  # it must not be a collection by chance
    try:
        calls = {"large": too_large, "small": lambda: 5 * MIB, "broken": lambda: 1 // 0}
        memory = measure.in_this_process(calls, time.monotonic() + 60, measure.left_out)
    finally:
        gc.enable()
    assert memory == {"small": 5.0}
    assert freed == [True]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "large ran out of memory and is left out"
    assert lines[1].startswith("broken is left out: ZeroDivisionError: ")
    assert measure.in_this_process(calls, time.monotonic() - 1) == dict.fromkeys(calls)
    with pytest.raises(ZeroDivisionError):
        measure.in_this_process({"broken": calls["broken"]}, time.monotonic() + 60)


def test_a_function_that_fails_leaves_the_later_rounds_to_the_others():
    calls = []

    def fails_at_second():
        calls.append("x")
        if len(calls) == 2:
            raise torch.OutOfMemoryError

    functions = {"x": fails_at_second, "y": lambda: None}
    deadline = time.monotonic() + 60
    rounds = measure.rounds(functions, "cpu", deadline, guard=measure.left_out)
    assert [set(next(rounds)) for _ in range(3)] == [{"x", "y"}, {"y"}, {"y"}]
    assert len(calls) == 2
    with pytest.raises(ZeroDivisionError):
        next(measure.rounds({"z": lambda: 1 // 0}, "cpu", deadline))
    assert list(measure.rounds({}, "cpu", deadline)) == []


@pytest.mark.parametrize("seconds, calls", [(1.0, 1), (0.005, 4), (1e-6, 100)])
def test_an_operation_on_cuda_is_timed_by_events_around_several_calls(seconds, calls, monkeypatch):
    clock = 0.0
    made = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.time = clock

        def synchronize(self):
            pass

        def elapsed_time(self, end):
            return 1000 * (end.time - self.time)  # ms

    def call():
        nonlocal clock
        clock += seconds
        made.append(clock)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    assert measure.op_seconds(call, "cuda") == pytest.approx(seconds)
    assert len(made) == 1 + calls


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


def test_bf16_is_not_for_tpus_alone(data, tmp_path):
    trainer, batch = train_step.build([*arguments_of("plain", data, tmp_path), "--bf16"])
    train_step.update(trainer, batch, updates=1)
    assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.bfloat16}


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


def test_a_variant_may_have_three_batches_in_one_and_sets_of_options(tmp_path, monkeypatch):
    monkeypatch.setitem(train_step.OPTION_SETS, "sgd", "--optimizer sgd")
    setting = train_step.Setting("tiny", 1024, "float32", "cpu")
    train_step.write_corpus(tmp_path, types=100, max_tokens=1024)
    tokens = {}
    for name in ("plain", "plain-3x", "fused-2+checkpoint+sgd"):
        arguments = train_step.arguments_of(train_step.variant(name), setting, tmp_path)
        trainer, batch = train_step.build(arguments)
        tokens[name] = batch["ntokens"]
    assert tokens["plain"] == tokens["fused-2+checkpoint+sgd"]
    assert tokens["plain-3x"] == pytest.approx(3 * tokens["plain"], rel=0.2)
    assert trainer.cfg.model.checkpoint_activations
    assert trainer.optimizer.__class__.__name__ == "SGD"


def test_a_killed_benchmark_leaves_the_rounds_it_had(tmp_path, monkeypatch):
    file = tmp_path / "steps.json"
    options = "--shape tiny --max-tokens 128 --variants fused-2 --device cpu --json"
    monkeypatch.setattr(sys, "argv", ["train_step.py", *options.split(), str(file)])
    monkeypatch.setattr(measure, "silence", lambda: None)
    monkeypatch.setattr(measure, "in_own_processes", lambda calls, *_: dict.fromkeys(calls, 3.0))

    def killed(functions, *_, **__):
        yield {"plain": 1.0, "fused-2": 2.0}
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "rounds", killed)
    with pytest.raises(KeyboardInterrupt):
        train_step.main()
    result = json.loads(file.read_text())
    assert result["rounds"] == 1
    assert result["variants"]["fused-2"]["ratio"] == 2.0
    assert result["variants"]["fused-2"]["memory_ratio"] == 1.0


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
    assert len(result["times"]) == result["rounds"] == 2
    assert f"| fused-2 | {fused['seconds']:.4f} | {fused['ratio']:.2f} (" in done.stdout


def test_loss_writes_what_it_measured(tmp_path):
    file = tmp_path / "loss.json"
    options = f"--cases 1x64x5000 --positions 50 --device cpu --rounds 2 --json {file}"
    done = run("loss.py", *options.split())
    assert done.returncode == 0, done.stderr
    (case,) = json.loads(file.read_text())["cases"]
    assert [case[key] for key in ("K", "N", "d", "V")] == [1, 50, 64, 5000]
    assert case["ways"][case["floor"]]["ratio"] == 1
    assert case["ways"]["torch"]["seconds"] > 0
    assert case["ways"]["torch"]["extra_mib"] < case["ways"]["reference"]["extra_mib"]
    assert case["rounds"] == len(case["times"]) == 2
    ms = 1000 * case["ways"][case["floor"]]["seconds"]
    assert f"| float32 | 1 | 64 | 5,000 | {ms:.2f} |" in done.stdout


def test_the_fused_loss_runs_the_code_that_is_compared(monkeypatch):
    in_torch, chunks = fused_loss.loss_and_gradient_, []
    monkeypatch.setattr(loss, "code", lambda name: lambda *a: chunks.append(name) or in_torch(*a))
    inputs = loss.leaves((3, 8, 16), 10, "cpu", "float32")
    loss.fused("another", inputs, chunk_size=4)
    assert chunks == ["another"] * 3
    assert fused_loss._loss_and_gradient_on(inputs[0]) is in_torch


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_way_of_the_loss_runs(dtype):
    setting = loss.Setting(N=5, device="cpu", dtype=dtype, codes=("torch", "compiled"))
    with torch.compiler.set_stance("force_eager"):
        functions = loss.ways((1, 8, 16), setting) | loss.between((1, 8, 16), setting, ["compiled"])
        for function in functions.values():
            function()
    assert {"torch", "compiled", "reference", "copy", "copy, compiled"} <= functions.keys()
    assert "linear_cross_entropy" not in loss.ways((2, 8, 16), setting)


def test_the_figures_of_the_loss_are_those_of_its_rounds():
    setting = loss.Setting(N=1000, device="cuda", dtype="float16", codes=("triton", "torch"))
    times = {"triton": 0.3, "torch": 0.9, "products, whole": 0.25, "products, chunked": 0.2}
    times |= {"copy": 0.002, "copy, triton": 0.005, "copy, torch": 0.022}
    case = (3, 512, 12_001)  # rows of 12,032 elements on CUDA
    extra = {("triton", case): 100.0}
    found = loss.figures(case, setting, [times, times, {}], extra)
    assert found["floor"] == "products, chunked" and found["rounds"] == 2
    assert found["ways"]["triton"]["ratio"] == pytest.approx(1.5)
    assert found["ways"]["triton"]["copies"] == pytest.approx(1.5)
    assert found["ways"]["torch"]["copies"] == pytest.approx(10)
    assert found["ways"]["triton"]["extra_mib"] == 100
    assert found["copy"]["bytes"] == 2 * 3 * 1000 * 12_032 * 2
    assert found["copy"]["gb_per_second"] == pytest.approx(found["copy"]["bytes"] / 0.002 / 1e9)
    flops = 3 * 2 * 3 * 1000 * 512 * 12_001
    assert found["ways"]["products, chunked"]["tflops"] == pytest.approx(flops / 0.2 / 1e12)
    (row,) = loss.time_table([found])[1]
    assert row[:8] == ["float16", "3", "512", "12,001", "200.00", f"{flops / 0.2 / 1e12:.1f}"] + [
        "1.50 (1.50–1.50)",
        "4.50 (4.50–4.50)",
    ]
    nothing_yet = loss.figures(case, setting, [], {})
    assert nothing_yet["rounds"] == 0
    assert set(loss.time_table([nothing_yet])[1][0][4:]) == {"–"}


@pytest.mark.parametrize(
    "script, options, reason",
    [
        ("train_step", "--json /nowhere/x.json", "there is no folder /nowhere"),
        ("train_step", "--variants fused-9", "'fused-9' is none of plain, plain-3x, "),
        ("train_step", "--variants fused-3+fast", "'fast' is none of checkpoint"),
        ("train_step", "--seconds nan", "--seconds: a time above 0"),
        ("train_step", "--rounds 0", "--rounds: at least 1"),
        ("train_step", "--dtype float16 --device cpu", "on a GPU only"),
        ("train_step", "--max-tokens 9", "the longest sentences need 128"),
        ("loss", "--cases 3x512", "invalid case value: '3x512'"),
        ("loss", "--cases 3x0x9", "invalid case value: '3x0x9'"),
        ("loss", "--positions 0", "--positions: at least 1"),
    ],
)
def test_a_bad_option_is_refused_before_any_work(script, options, reason, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script, *options.split()])
    monkeypatch.setattr(measure, "silence", lambda: None)  # it would hold for later tests
    with pytest.raises(SystemExit) as refusal:
        import_module(script).main()
    assert refusal.value.code == 2
    assert reason in capsys.readouterr().err


def of_part(name):
    """The functions of a part, which are not imported: it has a namesake."""
    return runpy.run_path(str(PARTS / f"{name}.py"))


def run_part(name, folder, monkeypatch, *options):
    """Run a part in this process → its exit status, figures and Markdown."""
    arguments = ["--output", str(folder), "--seconds", "600", "--tiny", *options]
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    monkeypatch.setattr(measure, "silence", lambda: None)
    monkeypatch.setattr(part.start, "TIME", time.monotonic())
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(PARTS / f"{name}.py"), run_name="__main__")
    written = json.loads((folder / f"{name}.json").read_text())
    return ended.value.code, written, (folder / f"{name}.md").read_text()


def test_the_modules_of_a_part_are_those_it_means():
    assert Path(loss.__file__).parent == SCRIPTS
    assert Path(import_module("profile").__file__).parent != PARTS


def test_the_part_loss_writes_what_it_found(tmp_path, monkeypatch):
    status, found, text = run_part("loss", tmp_path / "new", monkeypatch)
    assert status == 0 and found["part"] == "loss" and not found["failures"]
    (case,) = found["cases"]
    assert {"torch", "reference"} <= case["ways"].keys()
    (sizes,) = found["sweeps"].values()
    assert [size["logits"] for size in sizes] == [64, 256]
    assert found["summary"] == [line[2:] for line in text.splitlines() if line.startswith("- ")]
    assert "| float32 | 3 | 16 | 64 |" in text and "## Chunks: fp32, K = 3" in text


def test_a_part_goes_on_after_a_case_that_fails(tmp_path, monkeypatch):
    ready = train_step.ready

    def fails(arguments, device):
        if arguments[arguments.index("--criterion") + 1] == "textbook":
            raise ValueError("it is\nbroken")
        return ready(arguments, device)

    monkeypatch.setattr(train_step, "ready", fails)
    status, found, text = run_part("step", tmp_path, monkeypatch)
    failure = "tiny, fp32, 128 tokens, textbook-3: failed: ValueError: it is broken"
    assert status == 1
    assert found["failures"] == [failure] and failure in found["summary"] and failure in text
    (figures,) = found["comparisons"].values()
    assert figures["left_out"] == ["textbook-3"]
    assert figures["variants"]["one-pass-3"]["tokens_per_second"] > 0
    assert figures["rounds"] == len(figures["times"]) > 1
    assert found["summary"][0].startswith("tiny, fp32, 128 tokens: K = 3 takes ")


def test_the_part_profile_says_where_the_time_goes(tmp_path, monkeypatch):
    trace = tmp_path / "trace.json"
    status, found, text = run_part("profile", tmp_path, monkeypatch, "--trace", str(trace))
    assert status == 0
    for figures in found["updates"].values():
        assert figures["wall_seconds"] > 0
        assert min(figures["phases"][name] for name in ("model", "loss", "backward", "rest")) > 0
        assert figures["operations"][0]["seconds"] >= figures["operations"][9]["seconds"] > 0
        names = {each["name"] for each in figures["operations"]}
        assert not names & {"forward", "backward", "optimizer", "Optimizer.step#Adam.step"}
        assert figures["reads"]["aten::item"] >= 1
        assert "kernels" not in figures
    assert "## The dearest operations of fused-3" in text
    assert json.loads(trace.read_text())["traceEvents"]


def test_a_part_that_is_killed_leaves_what_it_had(tmp_path):
    command = [sys.executable, str(PARTS / "step.py"), "--output", str(tmp_path), "--tiny"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([*command, "--seconds", "600"], env=environment)
    file = tmp_path / "step.json"
    try:
        for _ in range(3000):
            found = json.loads(file.read_text()) if file.exists() else {}
            if any(figures["variants"] for figures in found.get("comparisons", {}).values()):
                break
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    (figures,) = json.loads(file.read_text())["comparisons"].values()
    assert figures["variants"]["plain"]["peak_mib"] > 0
    assert "| plain |" in (tmp_path / "step.md").read_text()


@pytest.mark.parametrize(
    "part_name, options, reason",
    [
        ("step", "--output {} --seconds 9", "torch sees no GPU here; --tiny runs on a CPU"),
        ("loss", "--output {} --seconds nan --tiny", "--seconds: a time above 0"),
        ("loss", "--output {} --seconds 0 --tiny", "--seconds: a time above 0"),
        ("step", "--output {}/file --seconds 9 --tiny", "--output: cannot make the folder"),
        (
            "profile",
            "--output {} --seconds 9 --tiny --trace /nowhere/x",
            "there is no folder /nowhere",
        ),
    ],
)
def test_a_bad_option_of_a_part_is_refused(
    part_name, options, reason, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", [part_name, *options.format(tmp_path).split()])
    monkeypatch.setattr(measure, "silence", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as refusal:
        of_part(part_name)["main"]()
    assert refusal.value.code == 2
    assert reason in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_part_whose_files_cannot_be_written_ends_in_a_line(tmp_path):
    (tmp_path / "loss.json").mkdir()
    args = argparse.Namespace(output=tmp_path, seconds=9.0, tiny=True, device="cpu")
    with pytest.raises(SystemExit, match="loss: cannot write .*loss.json: Is a directory"):
        part.Part("loss", args, lambda figures: part.Found())


def test_many_failures_are_few_lines_of_the_summary(tmp_path):
    args = argparse.Namespace(output=tmp_path, seconds=9.0, tiny=True, device="cpu")
    this = part.Part("loss", args, lambda figures: part.Found(["one"]))
    for number in range(5):
        with this.case(f"case {number}"):
            raise RuntimeError("x" * 1000)
    found = json.loads((tmp_path / "loss.json").read_text())
    assert len(found["failures"]) == 5 and this.status() == 1
    assert len(found["summary"]) == 4 and max(map(len, found["summary"])) < 200
    assert found["summary"][-1] == "and 3 more failures: loss.md"


def test_a_broken_device_ends_a_part(tmp_path, monkeypatch):
    args = argparse.Namespace(output=tmp_path, seconds=9.0, tiny=True, device="cpu")
    this = part.Part("loss", args, lambda figures: part.Found())
    this.device = "cuda"

    def broken():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    with pytest.raises(RuntimeError, match="illegal"), this.case("the kernel"):
        broken()
    assert "the kernel: failed: RuntimeError: CUDA error" in (tmp_path / "loss.md").read_text()


@pytest.mark.parametrize(
    "value, sign, bound, expected",
    [
        (1.7, "<", 2, "1.70 × plain (target < 2: reached)"),
        (2.0, "<", 2, "2.00 × plain (target < 2: missed)"),
        (1.1, "<=", 1.1, "1.10 × plain (target <= 1.1: reached)"),
        (2.4, ">=", 2.5, "2.40 × plain (target >= 2.5: missed)"),
        (None, ">=", 2.5, "not measured (target >= 2.5 × plain)"),
    ],
)
def test_a_figure_stands_beside_its_target(value, sign, bound, expected):
    assert part.verdict(value, "× plain", sign, bound) == expected


def test_the_targets_of_an_update_are_ratios_within_rounds():
    rounds = {"plain": 1.0, "fused-3": 1.5, "textbook-3": 4.5, "fused-2": 1.2, "rdrop": 3.0}
    times = [rounds | {"plain-3x": 1.4}, {name: 10 * s for name, s in rounds.items()}]
    peaks = {"plain": 100, "fused-3": 120, "textbook-3": 400, "one-pass-3": 100, "one-pass-6": 104}
    variants = {name: {"peak_mib": mib} for name, mib in peaks.items()}
    lines = of_part("step")["targets"]("here", {"times": times, "variants": variants})
    assert lines == [
        "here: K = 3 takes 1.50 × plain (target < 2: reached); plain with 3 × the tokens 1.40 ×",
        "K = 3 against the textbook's loop: 3.00 × as fast (target >= 2.5: reached); "
        "0.30 × its memory (target <= 0.333: reached)",
        "memory of K = 6 with one pass: 1.04 × plain's (target <= 1.1: reached); "
        "1.04 × that of K = 3 (target <= 1.05: reached)",
        "K = 2 against fairseq's R-Drop: 2.50 × as fast (target >= 2: reached)",
    ]
    lines = of_part("step")["targets"]("here", {"times": [], "variants": {}})
    assert len(lines) == 4 and all("not measured" in line for line in lines)


def test_the_targets_of_the_loss_are_those_of_its_kernel():
    case = {"K": 3, "d": 512, "V": 12_000, "dtype": "float16", "times": [{"torch": 6, "triton": 2}]}
    case["ways"] = {"triton": {"ratio": 1.5, "copies": 1.62}}
    wide = case | {"d": 1024, "V": 32_000, "ways": {}, "times": []}
    sizes = [{"logits": 8, "ratio": 1.1}, {"logits": 16, "ratio": 0.9}, {"logits": 32}]
    summary = of_part("loss")["summary"]
    assert summary([case, wide, case | {"dtype": "bfloat16"}], {"there": sizes}) == [
        "loss, fp16, K = 3, width 512, V = 12,000: 1.50 × its products (target <= 1.4: missed); "
        "3.00 × as fast as in torch (target >= 2: reached); kernel 1.62 × a copy",
        "loss, fp16, K = 3, width 1,024, V = 32,000: not measured (target <= 1.2 × its products); "
        "not measured (target >= 2 × as fast as in torch); kernel –",
        "fastest chunks, logits: 16 (0.90 × the default) at there",
    ]


def test_a_profile_counts_kernels_and_waits_of_an_update():
    profile = of_part("profile")
    device, host = (partial(profile["Event"], on_device=on) for on in (True, False))
    events = [
        device("gemm", start=0.0, end=0.2),
        device("gemm", start=0.1, end=0.4),  # on another stream
        device("dropout", start=0.6, end=0.7),
        device("Memcpy DtoH (Device -> Pageable)", start=0.7, end=0.8),
        device("forward", start=0.0, end=5.0),  # the range of annotated launches
        host("forward", start=0.0, end=5.0, annotation=True, own=1.0),
        host("aten::mm", start=0.0, end=0.1, own=0.5),
        host("aten::item", start=0.0, end=0.1),
        host("cudaLaunchKernel", start=0.0, end=0.01),
        host("cudaLaunchKernelExC", start=0.0, end=0.03),
        host("cudaStreamSynchronize", start=0.0, end=0.5),
        host("cudaDeviceSynchronize", start=0.0, end=0.5),  # the profile's own
    ]
    found = profile["analysis"](events, updates=2, wall=0.5)
    assert found["kernels"] == 1.5
    assert found["device_seconds"] == pytest.approx(0.3)
    assert found["idle"] == pytest.approx(0.4)
    assert found["launch_seconds"] == pytest.approx(0.02)
    assert (found["waits"], found["copies_to_host"]) == (0.5, 0.5)
    assert found["reads"] == {"aten::item": 0.5, "aten::_local_scalar_dense": 0.0}
    assert found["operations"] == [{"name": "aten::mm", "calls": 0.5, "seconds": 0.25}]
    assert [each["name"] for each in found["kernels_by_name"]] == ["gemm", "dropout"]
    line = profile["summary"]("plain", found)
    assert line == "plain: 500.0 ms an update, device idle 40 % of it, 2 kernels, " + (
        "the host waits 0 times"
    )


def test_the_phases_of_an_update_add_up_to_it():
    split = of_part("profile")["split"]
    seconds = {"update": 10.0, "forward": 4.0, "model": 3.0, "backward": 2.0, "optimizer": 1.5}
    phases = split(seconds)
    assert phases["loss"] == 1.0 and phases["rest"] == 2.5 and phases["clip-grads"] == 0
    assert sum(phases.values()) == 10.0


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
