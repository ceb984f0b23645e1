"""--keep-pruned: zeros of the checkpoint stay zero, however it is trained."""

import logging
from pathlib import Path

import pytest
import torch
from fairseq import optim
from fairseq.optim import FP16Optimizer, MemoryEfficientFP16Optimizer
from fairseq.tasks.translation import TranslationTask
from torch import Tensor, nn

from intra_distill.core.pruning import keep_zeros

from ..support.checkpoints import change_checkpoint, fairseq_generate, remove_half
from ..support.training import INTRA, PLAIN, SELF, TASK, assert_equal, run_training

KEEP = "--keep-pruned"
SHORT = ["--max-update", "6", "--disable-validation"]


@pytest.fixture
def pruned(teacher, tmp_path):
    """Options of the model → a pruned checkpoint of it."""

    def pruned(*options: str) -> str:
        return str(change_checkpoint(Path(teacher(*options)), tmp_path / "pruned.pt", remove_half))

    return pruned


@pytest.fixture
def finetune(configure, tmp_path):
    """A pruned checkpoint, arguments of fairseq-train → the parameters, before and after."""

    def finetune(path: str, *arguments: str, name: str = "tuned", how="--finetune-from-model"):
        folder = tmp_path / name
        run_training(configure(*PLAIN, *SHORT, how, path, "--save-dir", str(folder), *arguments))
        return [torch.load(file)["model"] for file in (path, folder / "checkpoint_last.pt")]

    return finetune


def zeros_lost(before: dict[str, Tensor], after: dict[str, Tensor]) -> int:
    """How many parameters were zero and are not; no other parameter is zero now."""
    zero, now_zero = (
        torch.cat([tensor.flatten() == 0 for tensor in model.values()]) for model in (before, after)
    )
    assert zero.sum() > 1000 and (now_zero & ~zero).sum() == 0
    return int((zero & ~now_zero).sum())


@pytest.mark.parametrize("optimizer", ["adam", "sage"])
def test_the_first_updates_move_zeros_that_are_not_kept(pruned, finetune, optimizer):
    before, after = finetune(pruned(), "--optimizer", optimizer, "--max-update", "1")
    assert zeros_lost(before, after) > 1000


@pytest.mark.parametrize(
    "options, model",
    [
        ([*INTRA, "--alpha", "1", "--weight-decay", "0.1"], ["--share-all-embeddings"]),
        (
            [*INTRA, "--alpha", "1", "--passes-in-memory", "2", "--checkpoint-activations"],
            ["--share-decoder-input-output-embed"],
        ),
        ([*INTRA, "--alpha", "1", "--report-accuracy", "--optimizer", "sage"], []),
        (["--update-freq", "2", "--optimizer", "sage", "--sage-base", "adamax"], []),
        ([*TASK, *SELF[2:], "--teacher-path", "teacher.pt", "--clip-norm", "0.1"], []),
    ],
    ids=["fused", "passes in memory", "plain loss, sage", "update-freq, sage", "student"],
)
def test_zeros_stay_and_a_stopped_run_resumes_bitwise_identically(
    pruned, finetune, options, model, tmp_path, monkeypatch
):
    path = pruned(*model)
    monkeypatch.chdir(tmp_path)
    options = [*options, *model, KEEP]
    before, after = finetune(path, *options)
    assert zeros_lost(before, after) == 0
    moved = sum(int((after[name] != before[name]).sum()) for name in before)
    assert moved > 0.7 * sum(int(tensor.ne(0).sum()) for tensor in before.values())
    finetune(path, *options, "--max-update", "3", name="resumed")
    _, resumed = finetune(path, *options, name="resumed")
    assert_equal(resumed, after)


def test_a_restored_checkpoint_keeps_its_zeros(pruned, finetune):
    before, after = finetune(pruned(), KEEP, "--reset-optimizer", how="--restore-file")
    assert zeros_lost(before, after) == 0


def test_what_is_finetuned_translates_and_goes_on_without_the_option(
    pruned, finetune, data, tmp_path
):
    before, _ = finetune(pruned(), KEEP)
    checkpoint = tmp_path / "tuned" / "checkpoint_last.pt"
    assert len(fairseq_generate(data, checkpoint, tmp_path)) == 20
    _, after = finetune(str(checkpoint), name="dense")
    assert zeros_lost(before, after) > 1000


def test_the_log_says_how_many_are_kept(pruned, finetune, caplog):
    caplog.set_level(logging.INFO)
    before, _ = finetune(pruned("--share-all-embeddings"), KEEP, "--share-all-embeddings")
    tied = ("decoder.embed_tokens.weight", "decoder.output_projection.weight")
    parameters = [t for name, t in before.items() if name not in tied and t.numel() > 1]
    number, total = (
        sum(count(t) for t in parameters) for count in (lambda t: int((t == 0).sum()), Tensor.numel)
    )
    line = f"--keep-pruned keeps {number:,} of {total:,} parameters at zero"
    assert [message for message in caplog.messages if "--keep-pruned" in message] == [line]


# Every optimizer and precision

OPTIMIZERS = [
    *["adam --weight-decay 0.1", "fused_adam --weight-decay 0.1", "adamax --weight-decay 0.1"],
    "adagrad --weight-decay 0.1",
    *["sgd --momentum 0.9 --weight-decay 0.1", "nag --weight-decay 0.1", "adadelta --lr 100"],
    *["adafactor --beta1 0.9 --weight-decay 0.1", "sage --weight-decay 0.1"],
    "sage --sage-base adamax",
]
WRAPPERS = [
    (None, torch.float32),
    *((FP16Optimizer, dtype) for dtype in (torch.bfloat16, torch.float16)),
    *((MemoryEfficientFP16Optimizer, dtype) for dtype in (torch.bfloat16, torch.float16)),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_keeps_zeros(configure, optimizer):
    cfg = configure(*PLAIN, "--optimizer", *optimizer.split(), "--fp16-no-flatten-grads")
    for wrapper, dtype in WRAPPERS:
        torch.manual_seed(1)
        model = nn.Module()
        model.self_attn, model.fc1 = nn.Linear(8, 8), nn.Linear(8, 8)  # what sage looks for
        model.to(dtype)
        parameters = list(model.parameters())
        cfg.common.bf16 = dtype is torch.bfloat16
        plain = optim.build_optimizer(cfg.optimizer, parameters)
        if wrapper is MemoryEfficientFP16Optimizer and not plain.supports_memory_efficient_fp16:
            continue
        with torch.no_grad():
            for parameter in parameters:
                parameter[::2] = 0
        keep_zeros(model)
        before = [parameter.detach().clone() for parameter in parameters]
        trained = wrapper.build_optimizer(cfg, parameters) if wrapper else plain
        for _ in range(3):
            trained.zero_grad()
            x = torch.linspace(-1, 1, 16, dtype=dtype).view(2, 8)
            trained.backward(model.fc1(model.self_attn(x)).float().square().sum())
            trained.all_reduce_grads(model)
            trained.clip_grad_norm(1.0)
            trained.step()
        for old, new in zip(before, parameters):
            assert not new[::2].any() and not torch.equal(new, old)


# What is refused


def test_a_model_without_removed_parameters_is_refused(configure, trainer, teacher):
    """A new model, and a checkpoint that is not pruned."""
    with pytest.raises(SystemExit) as refusal:
        trainer(*PLAIN, KEEP)
    line = str(refusal.value)
    assert line.startswith("intra_distill: --keep-pruned has nothing to keep: ")
    assert "--finetune-from-model" in line and "\n" not in line
    with pytest.raises(SystemExit, match="nothing to keep"):
        run_training(configure(*PLAIN, KEEP, "--finetune-from-model", teacher()))


def test_what_fp16_rounds_to_zero_was_not_removed(trainer, monkeypatch):
    built = trainer(*PLAIN)
    weight = built.model.encoder.layers[0].fc1.weight
    with torch.no_grad():
        weight[0, :3] = torch.tensor([2.0**-25, -(2.0**-25), 2.0**-24])
    monkeypatch.setattr(TranslationTask, "build_model", lambda *_: built.model)
    built.task._keep_pruned = True
    built.task.build_model(built.cfg.model)
    built.model.half()
    assert weight[0, :3].ne(0).tolist() == [False, False, True]
    with pytest.raises(SystemExit, match="nothing to keep"):
        built.task.begin_epoch(1, built.model)
