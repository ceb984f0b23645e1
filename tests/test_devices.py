"""Training in each precision, resuming, and evaluation, on a CPU and on CUDA.

On CUDA every way of training meets every precision; on a CPU each of them once.
"""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.logging import metrics

from intra_distill import cli
from intra_distill.tools.analysis.parameter_scores import read_scores

from .support.checkpoints import train_model
from .support.devices import DEVICES, GPU, half_precision_on_cpu
from .support.forked import interrupt
from .support.sentences import BERT, CLASSES
from .support.training import INTRA, PLAIN, TINY_TRANSFORMER, assert_equal, run_training

SWITCH = ["--arch", "switch_transformer", *TINY_TRANSFORMER[2:], "--router-jitter", "0"]
# Passes that differ by tokens cut out have the same tokens in each precision; dropout, which draws
# a mask in the model's own type, has not
CUT = [*INTRA, "--cutoff", "0.3"]
WAYS = {
    "fused, X": CUT,
    "fused, JS": [*CUT, "--divergence", "js"],
    "SimCut": [*CUT, "--divergence", "kl", "--supervised-passes", "1"],
    "not fused": [*CUT, "--loss-implementation", "plain"],
    "one pass in memory": [*CUT, "--passes-in-memory", "1"],
    "decoder differs": [*INTRA, "--passes-differ", "decoder"],
    "encoder differs": [*INTRA, "--passes-differ", "encoder"],
    "sensitivity": [*CUT, "--track-sensitivity", "2"],
    "SAGE": [*CUT, "--optimizer", "sage"],
    "switch": CUT,
    "classes": CLASSES,
}
PRECISIONS = {
    "fp16": ["--fp16", "--fp16-no-flatten-grads"],
    "fp16 in flat parameters": ["--fp16"],
    "fp16, memory-efficient": ["--memory-efficient-fp16"],
    "bf16": ["--bf16", "--fp16-no-flatten-grads"],
    "bf16, memory-efficient": ["--memory-efficient-bf16"],
    "amp": ["--amp"],
}
UPDATES = 6
# relative, of the loss of an update. fairseq's --amp divides the gradient by the loss scale twice,
# so that it comes nearer to Adam's ε
TOLERANCES = {name: 5e-3 if name.startswith("fp16") else 0.03 for name in PRECISIONS}


@pytest.fixture
def log_of(configure, monkeypatch, tmp_path, caplog, request) -> Callable[..., list[dict]]:
    """A way and options of fairseq-train → what each update and the last validation logged."""
    caplog.set_level("INFO")

    def log_of(way: str, *options: str, device: str) -> list[dict[str, float]]:
        if device == "cpu":
            half_precision_on_cpu(monkeypatch)
        model = {"switch": SWITCH, "classes": BERT}.get(way, TINY_TRANSFORMER)
        data = {}
        if way == "classes":
            data = {"data": request.getfixturevalue("sentences")["classes"]}
        # a dropout of next to nothing, without which no side's passes would differ
        every = "--log-format json --log-interval 1 --no-save --dropout 1e-9".split()
        every += ["--max-update", str(UPDATES)]
        cfg = configure(*WAYS[way], *every, *options, model=model, device=device, **data)
        cfg.common.tpu = False  # which fairseq-train, but not fairseq-hydra-train, makes of --bf16
        metrics.reset()
        caplog.clear()
        run_training(cfg)
        lines = [r for r in caplog.records if r.name in ("train_inner", "valid")]
        assert [r.name for r in lines] == ["train_inner"] * UPDATES + ["valid"]
        return [numbers(json.loads(r.getMessage())) for r in lines]

    return log_of


def numbers(logged: dict[str, Any]) -> dict[str, float]:
    return {name.removeprefix("valid_"): float(value) for name, value in logged.items()}


ON_CUDA = [(way, precision) for way in WAYS for precision in PRECISIONS]
# each way once, and each precision
ON_CPU = [(way, [*PRECISIONS][i % len(PRECISIONS)]) for i, way in enumerate(WAYS)]
CASES = [(*case, "cpu") for case in ON_CPU]
CASES += [pytest.param(*case, "cuda", marks=GPU) for case in ON_CUDA]


@pytest.mark.parametrize("way, precision, device", CASES)
def test_half_precision_trains_as_single_precision_does(log_of, way, precision, device):
    if way == "SAGE" and precision == "fp16 in flat parameters":
        precision = "fp16"  # SAGE refuses the other
    single = log_of(way, device=device)
    half = log_of(way, *PRECISIONS[precision], device=device)
    # rounding may send a token to another expert
    tolerance = TOLERANCES[precision] * (4 if way == "switch" else 1)
    for ours, theirs in zip(half, single):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=tolerance)
        assert ours.get("loss_scale", 128) == 128  # no update was skipped
    if "--cutoff" in WAYS[way]:
        assert half[0]["divergence"] == pytest.approx(single[0]["divergence"], rel=0.05)
        assert half[0]["divergence"] > 0.01


@pytest.mark.parametrize(
    "way, precision, device, init_scale",
    [("fused, X", "fp16", "cpu", 2**10)]
    + [
        pytest.param(way, precision, "cuda", 2**24, marks=GPU)
        for way in ("fused, X", "not fused", "one pass in memory")
        for precision in ("fp16", "fp16, memory-efficient")
    ],
)
def test_the_loss_scale_settles(log_of, way, precision, device, init_scale):
    """After an overflow fairseq asks CUDA for a zero, so that a CPU can have none."""
    options = [*PRECISIONS[precision], "--fp16-init-scale", str(init_scale)]
    logged = log_of(way, *options, device=device)
    scales = [update["loss_scale"] for update in logged[:UPDATES]]
    assert scales == sorted(scales, reverse=True) and scales[-1] >= max(2**8, scales[0] / 4)
    assert (scales[0] < init_scale) == (device == "cuda")


# Resuming


def train_until_killed(cfg: Any, update: int) -> None:
    """In a process of its own."""
    interrupt(update=update, do=partial(os.kill, os.getpid(), signal.SIGKILL))
    run_training(cfg)


def last_checkpoint(folder: Path) -> dict[str, Any]:
    state = torch.load(folder / "checkpoint_last.pt", weights_only=True)
    updates = state["optimizer_history"][-1]["num_updates"]
    return {"updates": updates} | {name: state[name] for name in ("model", "last_optimizer_state")}


# fairseq's checkpoint has the parameters in the model's own type: under --fp16 and --bf16, which
# train a copy in single precision, a run goes on from what they are rounded to
EXACT = {"fp32": [], "memory-efficient": PRECISIONS["fp16, memory-efficient"]}
ROUNDED = {"fp16": PRECISIONS["fp16 in flat parameters"], "bf16": PRECISIONS["bf16"]}


@pytest.mark.parametrize(
    "precision, device",
    [("fp32", "cpu"), ("fp16", "cpu")]
    + [pytest.param(name, "cuda", marks=GPU) for name in (*EXACT, *ROUNDED)],
)
def test_a_killed_run_resumes(configure, monkeypatch, tmp_path, precision, device):
    """To the last bit where two undisturbed runs agree to it, as deterministic kernels do."""
    if device == "cpu":
        half_precision_on_cpu(monkeypatch)

    def configured(name: str):
        options = [*INTRA, *(EXACT | ROUNDED)[precision], "--attention-dropout", "0.1"]
        options += ["--max-update", "6", "--save-interval-updates", "2", "--save-dir"]
        cfg = configure(*options, str(tmp_path / name), "--disable-validation", device=device)
        cfg.common.tpu = False
        return cfg

    undisturbed = ["whole", "again"] if device == "cuda" else ["whole"]
    for name in undisturbed:
        run_training(configured(name))
    # what has used CUDA cannot fork
    context = multiprocessing.get_context("spawn" if device == "cuda" else "fork")
    child = context.Process(target=train_until_killed, args=(configured("killed"), 3))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert last_checkpoint(tmp_path / "killed")["updates"] == 2
    run_training(configured("killed"))
    killed, *whole = (last_checkpoint(tmp_path / name) for name in ("killed", *undisturbed))
    torch.testing.assert_close(killed["model"], whole[0]["model"], rtol=0.01, atol=0.01)
    if precision in EXACT and same(whole[0], whole[-1]):
        assert_equal(killed, whole[0])
    else:
        assert precision in ROUNDED or device == "cuda"


def same(ours: Any, theirs: Any) -> bool:
    try:
        assert_equal(ours, theirs)
    except AssertionError:
        return False
    return True


# Evaluation


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory) -> Path:
    """A checkpoint that translates some words."""
    return train_model(prepared, tmp_path_factory.mktemp("run"), 60, *PLAIN)


def on(device: str) -> list[str]:
    return ["--cpu"] if device == "cpu" else []


@pytest.mark.parametrize("device", DEVICES)
def test_evaluation_is_the_same_as_on_a_cpu(prepared, trained, tmp_path, device):
    translations = {}
    for name in {"cpu", device}:
        results = ["--results-path", str(tmp_path / name), "--beam", "2"]
        cli.main(["evaluate", str(prepared), "--path", str(trained), *results, *on(name)])
        hypotheses = (tmp_path / name / "test.hyp.en").read_text(encoding="utf-8")
        translations[name] = hypotheses.splitlines()
    assert json.loads((tmp_path / device / "test.json").read_text())["scores"]["BLEU"] > 1
    assert mostly_equal(translations[device], translations["cpu"])


@pytest.mark.parametrize("device", DEVICES)
def test_translation_is_the_same_as_on_a_cpu(prepared, trained, capsys, monkeypatch, device):
    translations = {}
    for name in {"cpu", device}:
        capsys.readouterr()
        with open(prepared / "test.src.de", encoding="utf-8") as source, monkeypatch.context() as m:
            m.setattr("sys.stdin", source)
            cli.main(["translate", str(prepared), "--path", str(trained), *on(name)])
        translations[name] = capsys.readouterr().out.splitlines()
    assert len(set(translations[device])) > 5
    assert mostly_equal(translations[device], translations["cpu"])


def mostly_equal(ours: list[str], theirs: list[str]) -> bool:
    """Another order of addition decides between two hypotheses that are next to equal."""
    return sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 0.9 * len(ours)


@pytest.mark.parametrize("device", DEVICES)
def test_sensitivity_is_the_same_as_on_a_cpu(prepared, trained, tmp_path, device):
    scores = {}
    for name in {"cpu", device}:
        options = ["--batches", "2", "--results-path", str(tmp_path / name), *on(name)]
        cli.main(["sensitivity", str(prepared), "--path", str(trained), *options])
        (path,) = (tmp_path / name).glob("*.sensitivity.pt")
        scores[name] = read_scores(path).tensors
    assert max(tensor.max() for tensor in scores[device].values()) > 0
    torch.testing.assert_close(scores[device], scores["cpu"], rtol=1e-3, atol=1e-6)
