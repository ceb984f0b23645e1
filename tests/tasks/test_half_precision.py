"""Half precision: every system trains in it, and where fairseq could not train it is refused."""

from types import SimpleNamespace

import pytest
import torch
from fairseq import checkpoint_utils

from intra_distill.tasks.half_precision import HalfPrecisionTask

from ..support.devices import half_precision_on_cpu
from ..support.training import INTRA, PLAIN, SMOOTHED, USER_DIR, run_training

SYSTEMS = {
    "intra_x": INTRA,
    "switch": [*PLAIN, "--arch", "switch_transformer"],
    "adamax": [*PLAIN, "--optimizer", "adamax"],
    "sage": [*PLAIN, "--optimizer", "sage", "--fp16-no-flatten-grads"],
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_trains_in_half_precision_as_in_single(trainer, monkeypatch, system):
    half_precision_on_cpu(monkeypatch)
    losses = []
    for options in ([], ["--fp16", "--fp16-init-scale", "16"]):
        built = trainer(*SYSTEMS[system], *options, "--dropout", "0.001")
        losses.append([float(built.train_step([built.batches[0]])["loss"]) for _ in range(6)])
    single, half = losses
    assert half == pytest.approx(single, rel=0.01) and half[-1] < half[0] - 0.2
    assert next(built.model.parameters()).dtype == torch.float16


NO_GPU = "--fp16 needs a GPU, and {}: leave --fp16 out, in a recipe by OVERRIDES=common.fp16=false"
TPU = (
    "--bf16 makes fairseq-train look for a TPU: use --fp16, or fairseq-hydra-train with "
    "common.bf16=true"
)


@pytest.mark.parametrize(
    "options, gpu, why",
    [
        ("", False, ""),
        ("fp16", True, ""),
        ("fp16", False, NO_GPU.format("torch sees none")),
        ("fp16 cpu", True, NO_GPU.format("--cpu hides any")),
        ("bf16 tpu", True, TPU),  # what fairseq-train makes of --bf16
        ("bf16", True, ""),  # and fairseq-hydra-train of common.bf16
        ("fp16 tpu", False, ""),
        ("fp16 memory_efficient_fp16", False, ""),  # on a CPU these are slow, but they train
        ("fp16 fp16_no_flatten_grads cpu", True, ""),
    ],
)
def test_where_fairseq_could_not_train_it_is_refused(monkeypatch, options, gpu, why):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    names = "fp16 fp16_no_flatten_grads memory_efficient_fp16 bf16 cpu tpu".split()
    cfg = SimpleNamespace(**{name: name in options.split() for name in names})

    class Task:
        def __init__(self, cfg):
            pass

        def build_model(self, cfg, from_checkpoint):
            return "a model"

    task = type("Mixed", (HalfPrecisionTask, Task), {})(cfg)
    assert task.build_model(cfg, from_checkpoint=True) == "a model"
    if why:
        with pytest.raises(SystemExit) as refused:
            task.build_model(cfg)
        assert refused.value.code == f"intra_distill: {why}"
    else:
        assert task.build_model(cfg) == "a model"


def test_what_is_refused_would_train_nothing(trainer, monkeypatch):
    """A task of fairseq's own, beside a GPU that --cpu hides."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    plain = ["--task", "translation", "--criterion", "label_smoothed_cross_entropy", *SMOOTHED]
    built = trainer(*plain, "--fp16")
    before = [p.clone() for p in built.model.parameters()]
    for batch in built.batches[:3]:
        built.train_step([batch])
    assert all(torch.equal(p, old) for p, old in zip(built.model.parameters(), before))


def test_a_checkpoint_of_half_precision_is_used_on_a_cpu(configure, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        half_precision_on_cpu(patch)
        run_training(configure(*INTRA, "--fp16", "--max-update", "2"))
    path = str(tmp_path / "checkpoints" / "checkpoint_last.pt")
    overrides = {"user_dir": USER_DIR}
    (model,), cfg, task = checkpoint_utils.load_model_ensemble_and_task([path], overrides)
    assert cfg.common.fp16 and isinstance(task, HalfPrecisionTask)
    assert next(model.parameters()).dtype == torch.float32
