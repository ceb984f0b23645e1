import logging
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from fairseq.data import indexed_dataset
from fairseq.trainer import Trainer

from intra_distill.tools.reports.logs import points_of, read_log
from intra_distill.tools.reports.messages import TRAINING

from ..support.training import SMOOTHED, Killed, assert_equal, kill_at, run_training
from ..support.trilingual import LANGUAGES

FAIRSEQS = ["--task", "translation_multi_simple_epoch", *LANGUAGES]
OURS = ["--task", "translation_multi_simple_epoch_intra_distillation", *LANGUAGES]
PLAIN = ["--criterion", "label_smoothed_cross_entropy", *SMOOTHED]
K_PASSES = [*OURS, "--num-passes", "2", "--criterion", "intra_distillation", *SMOOTHED]
TEMPERATURE = "--sampling-method temperature --sampling-temperature 2".split()
VIRTUAL = [*TEMPERATURE, "--virtual-epoch-size", "90"]
COPIES_DIFFER = "--cutoff 0.1 --every 2 --encoder-layerdrop 0.5 --encoder-layers 2".split()
# an epoch has about ten updates
OFTEN = "--max-tokens 200 --max-update 24 --save-interval-updates 4 --log-interval 1".split()


@pytest.fixture
def multi(configure, multilingual, tmp_path):
    """Options, and the name of a run → its configuration; its log is NAME.log."""

    def multi(*options, name="run", data=multilingual):
        files = ["--save-dir", str(tmp_path / name), "--log-file", str(tmp_path / f"{name}.log")]
        return configure(*OFTEN, *options, *files, data=data)

    return multi


def state_of(folder: Path) -> dict:
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)


def log_of(path: Path) -> list:
    """What each update and each validation logs."""
    statistics = read_log(path, "x").statistics
    keys = ("loss", "nll_loss", "divergence", "gnorm", "bsz")
    return [points_of(statistics, of, key) for of in (TRAINING, "valid") for key in keys]


def assert_same_run(ours: Path, theirs: Path) -> None:
    one, other = state_of(ours), state_of(theirs)
    assert one["optimizer_history"][-1]["num_updates"] == 24
    for part in ("model", "last_optimizer_state"):
        assert_equal(one[part], other[part])


@pytest.mark.parametrize(
    "options",
    [
        [*TEMPERATURE],
        [*TEMPERATURE, "--encoder-langtok", "tgt", "--lang-tok-style", "mbart"],
        ["--virtual-epoch-size", "100", "--lang-tok-replacing-bos-eos", "--decoder-langtok"],
    ],
    ids=["temperature", "tokens", "virtual epochs"],
)
def test_one_pass_is_the_run_of_fairseqs_own_task(multi, tmp_path, options):
    run_training(multi(*FAIRSEQS, *PLAIN, *options, name="fairseqs"))
    run_training(multi(*OURS, "--num-passes", "1", *PLAIN, *options, name="ours"))
    assert_same_run(tmp_path / "ours", tmp_path / "fairseqs")


def split_into_shards(data: Path, folder: Path) -> str:
    """Two shards of the training pairs, of different sizes → the value of fairseq's ``data``."""
    for shard, every in (("one", 2), ("two", 3)):
        shutil.copytree(data, folder / shard)
        for index in (folder / shard).glob("train.*.idx"):
            whole = indexed_dataset.MMapIndexedDataset(str(data / index.stem))
            builder = indexed_dataset.make_builder(f"{index.with_suffix('')}.bin", "mmap", 60)
            few = len(whole) // (3 if ".fr-en." in index.name and shard == "one" else 1)
            for i in range(0, few, every):
                builder.add_item(whole[i])
            builder.finalize(str(index))
    return f"{folder / 'one'}:{folder / 'two'}"


@pytest.mark.parametrize(
    "options, sharded, killed",
    [
        ([*TEMPERATURE, *COPIES_DIFFER], False, [17]),
        (VIRTUAL, False, [6, 20]),
        (["--sampling-method", "RoundRobin"], False, [17]),
        (TEMPERATURE, True, [17]),
    ],
    ids=["copies differ", "virtual epochs", "RoundRobin", "shards"],
)
def test_killed_run_ends_as_one_that_was_not(
    multi, multilingual, tmp_path, monkeypatch, options, sharded, killed
):
    data = split_into_shards(multilingual, tmp_path) if sharded else multilingual
    run_training(multi(*K_PASSES, *options, name="whole", data=data))
    for update in killed:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_at(patch, update)
            run_training(multi(*K_PASSES, *options, name="killed", data=data))
    run_training(multi(*K_PASSES, *options, name="killed", data=data))
    assert_same_run(tmp_path / "killed", tmp_path / "whole")


def test_sigterm_saves_and_the_run_resumes(multi, tmp_path, monkeypatch):
    options = [*K_PASSES, *TEMPERATURE, "--save-interval-updates", "0"]
    run_training(multi(*options, name="whole"))
    train_step = Trainer.train_step

    for update in (5, 11):

        def terminated(self, *args, update=update, **kwargs):
            if self.get_num_updates() == update:
                os.kill(os.getpid(), signal.SIGTERM)
            return train_step(self, *args, **kwargs)

        with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
            patch.setattr(Trainer, "train_step", terminated)
            run_training(multi(*options, name="stopped"))
        assert end.value.code == 75
        updates = state_of(tmp_path / "stopped")["optimizer_history"][-1]["num_updates"]
        assert updates == update + 1
    run_training(multi(*options, name="stopped"))
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")
    assert log_of(tmp_path / "stopped.log") == log_of(tmp_path / "whole.log")


def test_the_fused_loss_trains_as_the_plain_one(multi, tmp_path):
    for loss in ("plain", "fused"):
        options = ["--loss-implementation", loss, "--max-update", "3"]
        run_training(multi(*K_PASSES, *TEMPERATURE, *options, name=loss))
    plain, fused = (state_of(tmp_path / loss)["model"] for loss in ("plain", "fused"))
    for name, parameter in plain.items():
        torch.testing.assert_close(fused[name], parameter, rtol=1e-3, atol=1e-4)


def test_alpha_grows_towards_the_last_update_of_max_update(multi, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    run_training(multi(*K_PASSES, "--max-update", "6", "--max-epoch", "50"))
    state = state_of(tmp_path / "run")["extra_state"]
    name = "TranslationMultiSimpleEpochIntraDistillationTask"
    assert state[name]["total_updates"] == 6
    assert "N = --max-update 6: how many updates --max-epoch 50 allows is not known" in caplog.text


@pytest.mark.parametrize(
    "options, line",
    [
        (["--max-update", "0", "--max-epoch", "3"], "set --max-update, or use --constant-alpha"),
        (["--num-passes", "0"], "--num-passes must be at least 1"),
        (["--dropout", "0"], "no dropout"),
        (["--adaptive-softmax-cutoff", "5,8"], "--adaptive-softmax-cutoff"),
        (["--keep-pruned"], "--keep-pruned has nothing to keep"),
        (["--sampling-method", "RoundRobin", "--virtual-epoch-size", "50"], "RoundRobin"),
    ],
)
def test_refused_in_one_line_before_the_first_update(multi, options, line):
    with pytest.raises(SystemExit) as refusal:
        run_training(multi(*K_PASSES, *options))
    message = str(refusal.value)
    assert message.startswith("intra_distill: ") and line in message and "\n" not in message


@pytest.mark.parametrize("start", ["--finetune-from-model", "--restore-file"])
def test_each_task_starts_from_a_checkpoint_of_the_other(multi, tmp_path, start):
    tasks = {"fairseqs": FAIRSEQS, "ours": [*OURS, "--num-passes", "1"]}
    for name, task in tasks.items():
        run_training(multi(*task, *PLAIN, "--max-update", "3", name=name))
    for name, other in {"fairseqs": "ours", "ours": "fairseqs"}.items():
        path = str(tmp_path / other / "checkpoint_last.pt")
        run_training(multi(*tasks[name], *PLAIN, start, path, "--max-update", "5", name=f"{name}2"))
    one, two = (state_of(tmp_path / f"{name}2") for name in tasks)
    assert one["optimizer_history"][-1]["num_updates"] == 5
    assert_equal(one["model"], two["model"])


def test_max_epoch_alone_is_enough_for_a_constant_alpha(multi, tmp_path):
    run_training(multi(*K_PASSES, "--constant-alpha", "--max-update", "0", "--max-epoch", "1"))
    assert 0 < state_of(tmp_path / "run")["optimizer_history"][-1]["num_updates"] < 24


@pytest.mark.parametrize("tokens", [[], ["--lang-tok-replacing-bos-eos", "--decoder-langtok"]])
def test_a_validation_sentence_that_is_too_long_is_named_before_the_first_update(
    multi, multilingual, tmp_path, tokens
):
    shutil.copytree(multilingual, tmp_path / "data")
    for lang in ("en", "fr"):  # only the pair fr-en has such a sentence
        builder = indexed_dataset.make_builder(
            str(tmp_path / f"data/valid.fr-en.{lang}.bin"), "mmap", 60
        )
        for words in (3, 40, 50):
            builder.add_item(torch.tensor([4] * (words - 1) + [2]))
        builder.finalize(str(tmp_path / f"data/valid.fr-en.{lang}.idx"))
    for limit, line in {
        "--max-source-positions": "40 target tokens, and the model takes 30 and ",
        "--max-tokens-valid": "40 target tokens, more than the 30 of a batch",
    }.items():
        with pytest.raises(SystemExit, match=line) as refusal:
            run_training(multi(*K_PASSES, *tokens, limit, "30", data=tmp_path / "data"))
        named = "sentence 2 of the validation set valid of fr-en, the first of 2, has 40 source"
        assert named in str(refusal.value) and not list(tmp_path.glob("run/*.pt"))
