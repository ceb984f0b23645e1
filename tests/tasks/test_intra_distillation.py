"""The behaviour on a task that is no translation, put there in the documented lines."""

import argparse
from dataclasses import dataclass, field

import pytest
import torch
from fairseq import tasks
from fairseq.criterions import FairseqCriterion
from fairseq.tasks import FairseqTask
from fairseq.tasks.translation import TranslationTask
from fairseq.tasks.translation_multi_simple_epoch import TranslationMultiSimpleEpochTask

from intra_distill.core.replicate import split_passes
from intra_distill.criterions.objective import Objective, ObjectiveConfig
from intra_distill.tasks.intra_distillation import IntraDistillationConfig, IntraDistillationTask

from ..support.training import run_training


class RegressionTask(IntraDistillationTask, FairseqTask):
    pass


@dataclass
class RegressionCriterionConfig(ObjectiveConfig):
    constant_alpha: bool = field(default=True)


class RegressionCriterion(FairseqCriterion):
    def __init__(self, task, cfg):
        super().__init__(task)
        self.objective = Objective(cfg, task)

    def forward(self, model, sample, reduce=True):
        K = self.objective.num_passes(sample)
        outputs = model(sample["net_input"])  # (K·B, 1)
        loss = (outputs - sample["target"]).square().sum() / K
        if K > 1:
            spread = split_passes(outputs, K).var(dim=0, unbiased=False).sum()
            loss = loss + self.objective.alpha(sample) * spread
        return loss, sample["nsentences"], {}


class Optimizer:
    def backward(self, loss):
        loss.backward()


@pytest.fixture
def regression():
    task = RegressionTask(IntraDistillationConfig(num_passes=4, max_update=0, max_epoch=0))
    criterion = RegressionCriterion(task, RegressionCriterionConfig(alpha=2.0))
    model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Dropout(0.5))
    model.set_num_updates = lambda updates: None
    sample = {"net_input": torch.ones(2, 3), "target": torch.zeros(2, 1), "nsentences": 2}
    return task, criterion, model, sample


def test_another_task_makes_k_passes(regression):
    task, criterion, model, sample = regression
    rows = []
    model.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    _, sample_size, _ = task.train_step(sample, model, criterion, Optimizer(), 0)
    assert rows == [8] and sample_size == 2
    assert model[0].weight.grad.abs().sum() > 0
    task.valid_step(sample, model, criterion)
    assert rows == [8, 2]


def test_the_loaders_batch_is_untouched(regression):
    task, criterion, model, sample = regression
    task.train_step(sample, model, criterion, Optimizer(), 0)
    assert sample.keys() == {"net_input", "target", "nsentences"}
    assert sample["target"].shape == (2, 1)


def test_an_adaptive_alpha_is_refused_in_a_run_without_an_end(regression):
    task, criterion, _, _ = regression
    assert task.num_passes == 4 and not task.bounded
    with pytest.raises(SystemExit, match="--constant-alpha"):
        RegressionCriterion(task, RegressionCriterionConfig(alpha=2.0, constant_alpha=False))


# A task without a dataclass, which declares its options itself


class LegacyTask(IntraDistillationTask, TranslationMultiSimpleEpochTask):
    pass


class TaskWithOptions(IntraDistillationTask, TranslationMultiSimpleEpochTask):
    @staticmethod
    def add_args(parser):
        TranslationMultiSimpleEpochTask.add_args(parser)
        parser.add_argument("--own-option", type=int, default=3)


class TaskThatCallsSuper(IntraDistillationTask, TranslationTask):
    @classmethod
    def add_args(cls, parser):
        super().add_args(parser)
        parser.add_argument("--own-option", type=int, default=3)


@pytest.mark.parametrize("task", [LegacyTask, TaskWithOptions, TaskThatCallsSuper])
def test_the_options_reach_a_task_that_declares_its_own(task):
    parser = argparse.ArgumentParser()
    task.add_args(parser)
    args, _ = parser.parse_known_args("--num-passes 5 --passes-in-memory 2 data".split())
    assert (args.num_passes, args.passes_in_memory, args.track_sensitivity) == (5, 2, 0)
    assert getattr(args, "own_option", 3) == 3
    assert hasattr(args, "own_option") == (task is not LegacyTask)


@pytest.fixture
def registered(monkeypatch):
    """The task as ``--task legacy_intra_distillation``."""
    name = "legacy_intra_distillation"
    monkeypatch.setitem(tasks.TASK_REGISTRY, name, TaskWithOptions)
    return ["--task", name, "--langs", "de,en", "--lang-pairs", "de-en", "--num-passes", "3"]


def test_a_task_without_a_dataclass_is_trained(configure, registered, tmp_path):
    options = [*registered, "--criterion", "intra_distillation", "--label-smoothing", "0.1"]
    for updates in ("4", "6"):
        run_training(configure(*options, "--max-update", updates))
    state = torch.load(tmp_path / "checkpoints" / "checkpoint_last.pt")
    assert state["optimizer_history"][-1]["num_updates"] == 6
    assert state["extra_state"]["TaskWithOptions"]["total_updates"] == 6
    meters = {name: meter for *_, name, _, meter in state["extra_state"]["metrics"]["train"]}
    assert meters["divergence"]["sum"] > 0 and meters["alpha"]["sum"] > 0


def test_its_options_are_checked(configure, registered):
    options = [*registered, "--criterion", "intra_distillation", "--num-passes", "0"]
    with pytest.raises(SystemExit, match="--num-passes must be at least 1, not 0"):
        run_training(configure(*options))
