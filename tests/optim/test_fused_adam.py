import copy
import sys
from importlib import import_module
from itertools import product

import pytest
import torch
from fairseq.optim import FP16Optimizer, MemoryEfficientFP16Optimizer
from fairseq.optim.adam import Adam
from omegaconf import ListConfig, OmegaConf
from torch import nn

from intra_distill.optim.fused_adam import FusedAdam, read_betas

from ..support.devices import half_precision_on_cpu
from ..support.optimizers import assert_resumes_to_the_last_bit
from ..support.training import CONFIGS, INTRA, PLAIN, assert_equal

FUSED = ["--optimizer", "fused_adam"]
SETTINGS = ["--adam-betas", "(0.8,0.98)", "--adam-eps", "1e-3", "--weight-decay", "0.1"]


def updated(cls, dtype, betas, eps, weight_decay, lr=0.1, steps=20):
    """Two groups of parameters after some updates, and the optimizer.

    The learning rate changes, the second group has settings of its own, and a parameter has no
    gradient in every third step.
    """
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    params = [nn.Parameter(draw(*shape)) for shape in ((3, 5), (7,), (2, 3, 4))]
    groups = [{"params": params[:2]}, {"params": params[2:], "eps": 0.5, "lr": lr / 3}]
    optimizer = cls(groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
    for step in range(steps):
        for i, p in enumerate(params):
            gradient = draw(*p.shape) * 10.0 ** -(step % 5)
            p.grad = None if i == 1 and step % 3 == 0 else gradient
        optimizer.param_groups[0]["lr"] = lr / (1 + step)
        optimizer.step()
    return params, optimizer


@pytest.mark.parametrize(
    "betas, eps, weight_decay",
    product([(0.9, 0.98), (0.9, 0.999), (0.0, 0.0), (0.5, 0.99999)], [1e-8, 1e-3, 1.0], [0.0, 0.1]),
)
def test_it_is_fairseqs_adam_but_for_rounding(betas, eps, weight_decay):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        ours, fused = updated(FusedAdam, dtype, betas, eps, weight_decay)
        theirs, adam = updated(Adam, dtype, betas, eps, weight_decay)
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)
            assert fused.state[mine].keys() == adam.state[other].keys()
            for name, value in fused.state[mine].items():
                theirs_too = adam.state[other][name]
                torch.testing.assert_close(value, theirs_too, rtol=tolerance, atol=tolerance)


def test_an_epsilon_added_after_the_correction_would_differ():
    """torch's own AdamW, on the same numbers: what the ε of each step is for."""
    settings = {"dtype": torch.float64, "betas": (0.9, 0.999), "eps": 1e-3, "weight_decay": 0.1}
    ours, _ = updated(FusedAdam, **settings)
    torchs, _ = updated(torch.optim.AdamW, **settings)
    assert not torch.allclose(ours[0], torchs[0], rtol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_updated_in_single(dtype):
    """As fairseq's --memory-efficient-fp16 needs it."""
    settings = {"betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.1}
    ours, fused = updated(FusedAdam, dtype, **settings)
    theirs, adam = updated(Adam, dtype, **settings)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine, other)
        assert fused.state[mine]["exp_avg"].dtype == torch.float32
        torch.testing.assert_close(fused.state[mine]["exp_avg"], adam.state[other]["exp_avg"])


HALF = ["--fp16", "--fp16-init-scale", "16"]


@pytest.mark.parametrize("precision", [[], HALF], ids=["single", "half"])
def test_each_resumes_the_run_of_the_other(trainer, tmp_path, monkeypatch, precision):
    half_precision_on_cpu(monkeypatch)
    names = ("adam", "fused_adam")
    built = {name: trainer(*INTRA, *SETTINGS, "--optimizer", name, *precision) for name in names}

    def train(name, updates, checkpoint=None):
        if checkpoint:
            built[name].load_checkpoint(str(checkpoint))
        for batch in built[name].batches[updates]:
            built[name].train_step([batch])
        built[name].consolidate_optimizer()
        return copy.deepcopy(built[name].state_dict())

    checkpoints, whole = {}, {}
    for name in names:
        train(name, slice(3))
        checkpoints[name] = tmp_path / f"{name}.pt"
        built[name].save_checkpoint(str(checkpoints[name]), {"train_iterator": {"epoch": 1}})
        whole[name] = train(name, slice(3, 6))
    # under --fp16 a resumed run begins with rounded weights
    tolerance = 0.03 if precision else 1e-5
    for first, second in ((names[0], names[1]), (names[1], names[0])):
        mixed = train(second, slice(3, 6), checkpoints[first])
        for index, state in whole["adam"]["last_optimizer_state"]["state"].items():
            other = mixed["last_optimizer_state"]["state"][index]
            assert other.keys() == state.keys() and other["step"] == state["step"] == 6
        for key, value in whole["adam"]["model"].items():
            torch.testing.assert_close(mixed["model"][key], value, rtol=tolerance, atol=tolerance)
    if not precision:
        resumed = train("fused_adam", slice(3, 6), checkpoints["fused_adam"])
        for part in ("model", "last_optimizer_state"):
            assert_equal(resumed[part], whole["fused_adam"][part])


@pytest.mark.parametrize("other", ["adamax", "sage"])
def test_the_checkpoint_of_another_optimizer_is_refused(configure, other):
    """Under --fp16 fairseq cannot tell them apart by a name."""

    def optimizer(name):
        model = nn.Module()
        model.self_attn = nn.Linear(3, 3)
        cfg = configure(*PLAIN, "--optimizer", name, "--fp16", "--fp16-no-flatten-grads")
        built = FP16Optimizer.build_optimizer(cfg, list(model.half().parameters()))
        model.self_attn(torch.ones(2, 3).half()).sum().backward()
        built.all_reduce_grads(model)
        built._needs_sync = True
        built.clip_grad_norm(0.0)
        built.step()
        return built

    state = optimizer(other).state_dict()
    with pytest.raises(SystemExit, match="optimizer is not Adam.*--reset-optimizer"):
        optimizer("fused_adam").load_state_dict(state)


def test_memory_efficient_training_resumes_to_the_last_bit(configure):
    def build():
        torch.manual_seed(1)
        model = nn.Linear(4, 4).half()
        cfg = configure(*PLAIN, *FUSED, *HALF, "--memory-efficient-fp16")
        return model, MemoryEfficientFP16Optimizer.build_optimizer(cfg, list(model.parameters()))

    def update(model, optimizer):
        optimizer.zero_grad()
        optimizer.backward(model(torch.linspace(-1, 1, 8).view(2, 4).half()).float().square().sum())
        optimizer.clip_grad_norm(0.0)
        optimizer.step()

    assert_resumes_to_the_last_bit(build, update)


@pytest.mark.parametrize(
    "value", ["(0.9,0.98)", "0.9, 0.98", [0.9, 0.98], (0.9, 0.98), ListConfig([0.9, 0.98])]
)
def test_betas_as_an_option_and_as_a_configuration_gives_them(value):
    assert read_betas(value) == (0.9, 0.98)


def test_a_configuration_of_adam_needs_another_name_alone(trainer):
    options = ["--adam-betas", "(0.9,0.98)", "--adam-eps", "1e-6", "--weight-decay", "1e-4"]
    groups = []
    for name in ("adam", "fused_adam"):
        built = trainer(*PLAIN, "--optimizer", name, *options)
        built.train_step(built.batches[:1])
        (group,) = built.optimizer.optimizer.param_groups
        groups.append({key: group[key] for key in ("lr", "betas", "eps", "weight_decay")})
        assert OmegaConf.is_config(built.cfg.optimizer)
    assert groups[0] == groups[1]


def test_the_benchmark_times_every_optimizer_against_the_first(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(CONFIGS.parent / "scripts" / "benchmark"))
    benchmark = import_module("optimizer")
    names = list(benchmark.OPTIMIZERS)
    options = ["--models", "multi30k", "--steps", "1", "--optimizers", *names]
    monkeypatch.setattr(sys, "argv", ["optimizer.py", *options])
    benchmark.main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2 : 2 + len(names)]]
    assert [row[:2] for row in rows] == [["| multi30k, 1.0M", name] for name in names]
    assert rows[0][-1] == "1.00 |"
