"""--track-sensitivity logs |θ ⊙ g| with the gradient that the optimizer takes its step along."""

import json

import pytest
import torch
from fairseq.logging import metrics

from ..support.devices import DEVICES, half_precision_on_cpu
from ..support.sensitivity import by_sorting
from ..support.training import INTRA, PLAIN, run_training

TRACK = "--track-sensitivity"
HALF = ["--fp16", "--fp16-init-scale", "8"]


@pytest.fixture
def track(trainer, monkeypatch):
    """Arguments → the two means that three updates log, and those found at the step itself."""

    def track(*arguments, device="cpu"):
        metrics.reset()
        if device == "cpu":
            half_precision_on_cpu(monkeypatch)
        model = ["--arch", "transformer_tiny"]
        built = trainer(*arguments, TRACK, "1", model=model, device=device)
        # fairseq's --amp divides by the loss scale before Adam takes its step, and as it does
        factor = built.optimizer.scaler.get_scale() if "--amp" in arguments else 1.0
        expected, logged = [], []
        built.optimizer.optimizer.register_step_pre_hook(
            lambda adam, *_: expected.append(
                tuple(factor * mean for mean in by_sorting(adam.param_groups[0]["params"]))
            )
        )
        update_freq = built.cfg.optimization.update_freq[0]
        for i in range(3):
            with metrics.aggregate(f"update {i}") as log:
                built.train_step(built.batches[i * update_freq : (i + 1) * update_freq])
            logged.append((log["sensitivity_top"].avg, log["sensitivity_rest"].avg))
        return logged, expected

    return track


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("system", [PLAIN, INTRA], ids=["one pass", "three passes"])
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--clip-norm", "0.01"],
        ["--update-freq", "2"],
        ["--amp"],
        HALF,
        [*HALF, "--clip-norm", "0.01"],
        [*HALF, "--fp16-no-flatten-grads", "--update-freq", "2"],
        [*HALF, "--memory-efficient-fp16"],
    ],
    ids=" ".join,
)
def test_the_gradient_is_the_one_that_the_optimizer_takes(track, system, options, device):
    logged, expected = track(*system, *options, device=device)
    assert len(expected) == 3
    # the memory-efficient wrapper unscales its gradients in fp16, after we have seen them
    rel = 1e-3 if "--memory-efficient-fp16" in options else 1e-6
    for ours, theirs in zip(logged, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=rel) and ours[0] > ours[1] > 0


def test_updates_that_are_not_tracked_have_no_weight(trainer):
    built = trainer(*PLAIN, TRACK, "2")
    tops = []
    with metrics.aggregate("whole") as whole:
        for batch in built.batches[:4]:
            with metrics.aggregate() as update:
                built.train_step([batch])
            tops.append(update["sensitivity_top"].avg if "sensitivity_top" in update else None)
    _, second, third, fourth = tops
    assert tops[0] is None and second == third != fourth
    assert whole["sensitivity_top"].avg == pytest.approx((second + fourth) / 2)


def test_an_overflow_is_not_logged(trainer):
    built = trainer(*PLAIN, TRACK, "1")
    for parameter in built.model.parameters():
        parameter.grad = torch.full_like(parameter, torch.inf)
    with metrics.aggregate() as log:
        built.task.optimizer_step(built.optimizer, built.model, 0)
    assert "sensitivity_top" not in log


EVERY_UPDATE = "--log-format json --log-interval 1".split()


def test_a_run_that_is_resumed_logs_the_same(configure, tmp_path, caplog):
    def logged(folder, max_update):
        metrics.reset()
        caplog.clear()
        options = ["--save-dir", str(tmp_path / folder), "--max-update", max_update]
        run_training(configure(*PLAIN, TRACK, "3", *EVERY_UPDATE, *options))
        return from_log(record.getMessage() for record in caplog.records)

    caplog.set_level("INFO", logger="fairseq.logging.progress_bar")
    whole = logged("whole", "9")
    assert list(whole) == [3, 4, 5, 6, 7, 8, 9]
    assert whole[3] == whole[5] != whole[6] == whole[8] != whole[9]
    logged("resumed", "6")
    resumed = logged("resumed", "9")
    assert resumed[9] == whole[9]


def from_log(lines) -> dict[int, str]:
    """By update, the sensitivity that the train_inner lines have."""
    found = {}
    for line in lines:
        statistics = json.loads(line[line.index("{") :]) if '"num_updates"' in line else {}
        if statistics.get("sensitivity_top") is not None:
            found[int(statistics["num_updates"])] = statistics["sensitivity_top"]
    return found
