import copy
import json
import logging
import random
from pathlib import Path

import pytest
import torch
from fairseq.options import get_preprocessing_parser
from fairseq_cli import preprocess

from intra_distill.tasks.translation_intra_distillation import TranslationIntraDistillationTask

from ..support.training import (
    INTRA,
    LSTM,
    PLAIN,
    TASK,
    TINY_TRANSFORMER,
    Killed,
    assert_equal,
    kill_at,
    run_training,
)

ONE_PASS = "--task translation --criterion intra_distillation".split()


@pytest.mark.parametrize(
    "system, options, line",
    [
        (INTRA, ["--dropout", "0"], "no dropout"),
        (INTRA, ["--adaptive-softmax-cutoff", "5,8"], "--adaptive-softmax-cutoff"),
        (INTRA, ["--arch", "nonautoregressive_transformer"], "choose another --arch"),
        (ONE_PASS, [], "--task translation_intra_distillation; Translation"),
    ],
    ids=["no dropout", "adaptive softmax", "non-autoregressive", "a task of one pass"],
)
def test_refused_at_start_in_one_line(trainer, system, options, line):
    model = [] if "--arch" in options else TINY_TRANSFORMER
    with pytest.raises(SystemExit) as refusal:
        trainer(*system, *options, model=model)
    message = str(refusal.value)
    assert message.startswith("intra_distill: ") and line in message and "\n" not in message


@pytest.mark.parametrize(
    "options",
    [
        ["--constant-alpha", "--max-update", "0"],
        ["--alpha", "1", "--max-update", "0"],
        ["--alpha", "0", "--max-update", "0"],
        ["--max-update", "0", "--max-epoch", "2"],
        ["--dropout", "0", "--attention-dropout", "0.1"],
        ["--dropout", "0", "--activation-dropout", "0.1"],
        ["--dropout", "0", "--encoder-layerdrop", "0.5"],
        ["--dropout", "0", "--cutoff", "0.05"],
    ],
)
def test_not_refused(trainer, options):
    trainer(*INTRA, *options)


def test_one_pass_is_the_plain_task_for_any_criterion(trainer):
    built = trainer(*TASK, "--num-passes", "1", "--criterion", "cross_entropy", "--dropout", "0")
    built.train_step([built.batches[0]])


@pytest.mark.parametrize("model", [TINY_TRANSFORMER, LSTM], ids=["transformer", "lstm"])
def test_the_loaders_batch_is_untouched(trainer, gradients, model):
    built = trainer(*INTRA, "--alpha", "1", model=model)
    sample = built.batches[0]
    before = copy.deepcopy(sample)
    gradients(built, sample)
    assert sample.keys() == before.keys()
    for key in ("src_tokens", "src_lengths", "prev_output_tokens"):
        assert torch.equal(sample["net_input"][key], before["net_input"][key])
    assert torch.equal(sample["target"], before["target"])


@pytest.mark.parametrize(
    "options, updates_per_epoch",
    [([], lambda b: b), (["--update-freq", "3"], lambda b: -(-b // 3))],
)
def test_n_is_the_smaller_bound(trainer, options, updates_per_epoch):
    by_epochs = trainer(*INTRA, *options, "--max-update", "0", "--max-epoch", "2")
    epoch = updates_per_epoch(len(by_epochs.batches))
    assert by_epochs.task.total_updates == 2 * epoch
    by_updates = trainer(*INTRA, *options, "--max-update", "5", "--max-epoch", "2")
    assert by_updates.task.total_updates == 5


@pytest.fixture(scope="session")
def small_shard(data, tmp_path_factory) -> str:
    """A second shard of the data, in the same words, with other numbers of sentences."""
    root, words = tmp_path_factory.mktemp("shard"), random.Random(3)
    for split, pairs in {"train": 50, "valid": 20}.items():
        lines = [" ".join(words.choices("abcdefghij", k=words.randint(1, 9))) for _ in range(pairs)]
        for language in ("de", "en"):
            text = "".join(f"{line}\n" for line in lines)
            (root / f"{split}.{language}").write_text(text, encoding="utf-8")
    options = ["-s", "de", "-t", "en", f"--trainpref={root}/train", f"--validpref={root}/valid"]
    options += [f"--srcdict={data}/dict.de.txt", "--joined-dictionary", f"--destdir={root}/bin"]
    preprocess.main(get_preprocessing_parser().parse_args([*options, "--workers=1"]))
    return str(root / "bin")


def n_and_updates(folder: Path) -> tuple[int, int]:
    """The N of a run that is finished, and the updates that it has made."""
    state = load(folder / "checkpoint_last.pt")
    N = state["extra_state"]["TranslationIntraDistillationTask"]["total_updates"]
    return N, state["optimizer_history"][-1]["num_updates"]


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--update-freq", "3"],
        ["--update-freq", "1,2,3"],
        ["--skip-remainder-batch"],
        ["--skip-remainder-batch", "--update-freq", "2"],
        ["--skip-remainder-batch", "--update-freq", "3"],
        ["--skip-remainder-batch", "--update-freq", "1,2,4"],
    ],
    ids=" ".join,
)
def test_n_is_the_number_of_updates_that_the_run_makes(
    options, shards, configure, small_shard, tmp_path, monkeypatch
):
    bounds = "--max-update 0 --max-epoch 5 --save-interval-updates 3 --disable-validation".split()
    cfg = configure(*INTRA, *options, *bounds, "--num-passes", "2", "--no-epoch-checkpoints")
    if shards == 2:
        cfg.task.data = f"{cfg.task.data}:{small_shard}"
    run_training(cfg)
    N, updates = n_and_updates(tmp_path / "checkpoints")
    assert N == updates > 10

    cfg.checkpoint.save_dir = str(tmp_path / "killed")
    for at in (N - 2, N // 3)[:shards][::-1]:  # in an epoch of each shard
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_at(patch, at)
            run_training(cfg)
        assert n_and_updates(tmp_path / "killed")[0] == N
    run_training(cfg)
    assert n_and_updates(tmp_path / "killed") == (N, N)
    one, other = (load(tmp_path / run / "checkpoint_last.pt") for run in ("checkpoints", "killed"))
    assert_equal(one["model"], other["model"])


def test_counting_the_shards_leaves_no_trace(configure, small_shard, tmp_path, monkeypatch):
    """A run that is told their numbers of batches has the same parameters."""
    numbers = []
    count = TranslationIntraDistillationTask._batches_per_epoch

    def counted(self, epoch):
        numbers.append(numbers[0] if numbers else count(self, epoch))
        return numbers[-1]

    monkeypatch.setattr(TranslationIntraDistillationTask, "_batches_per_epoch", counted)
    for name in ("counts", "knows"):
        cfg = configure(*INTRA, "--max-update", "0", "--max-epoch", "3")
        cfg.task.data, cfg.checkpoint.save_dir = (
            f"{cfg.task.data}:{small_shard}",
            f"{tmp_path}/{name}",
        )
        run_training(cfg)
    assert len(numbers) == 2 and len(set(numbers[0])) == 2
    one, other = (load(tmp_path / name / "checkpoint_last.pt") for name in ("counts", "knows"))
    assert_equal(one["model"], other["model"])


def test_epochs_that_do_not_reach_all_shards(configure, small_shard, tmp_path):
    cfg = configure(*INTRA, "--max-update", "0", "--max-epoch", "2")
    cfg.task.data = ":".join([cfg.task.data, small_shard, cfg.task.data])
    run_training(cfg)
    N, updates = n_and_updates(tmp_path / "checkpoints")
    assert N == updates < 2 * 19


def test_more_epochs_after_the_end_are_warned_of(configure, caplog):
    """Also where the run ended with an epoch, at which fairseq forgets all meters."""
    caplog.set_level(logging.WARNING)
    run_training(configure(*INTRA, "--max-update", "0", "--max-epoch", "1"))
    assert not [message for message in caplog.messages if "N = " in message]
    run_training(configure(*INTRA, "--max-update", "0", "--max-epoch", "3"))
    (warning,) = [message for message in caplog.messages if "N = " in message]
    assert "this run will make N = 57 updates" in warning and "trained towards 19" in warning


def load(path) -> dict:
    return torch.load(path, map_location="cpu")


@pytest.mark.parametrize("options", [[], ["--update-freq", "2"]])
def test_stop_and_resume_gives_the_same_checkpoint(configure, tmp_path, monkeypatch, options):
    saving = ["--save-interval-updates", "4", "--validate-interval-updates", "4", *options]
    through, resumed = tmp_path / "through", tmp_path / "resumed"
    run_training(configure(*INTRA, *saving, "--save-dir", str(through)))

    with monkeypatch.context() as patch:
        kill_at(patch, 6)
        with pytest.raises(Killed):
            run_training(configure(*INTRA, *saving, "--save-dir", str(resumed)))
    run_training(configure(*INTRA, *saving, "--save-dir", str(resumed)))

    one, other = load(through / "checkpoint_last.pt"), load(resumed / "checkpoint_last.pt")
    assert one["optimizer_history"][-1]["num_updates"] == 12
    for part in ("model", "last_optimizer_state"):
        assert_equal(one[part], other[part])
    for key in ("loss", "nll_loss", "divergence", "alpha"):
        sums = [
            meter["sum"]
            for state in (one, other)
            for _, name, _, meter in state["extra_state"]["metrics"]["train"]
            if name == key
        ]
        assert len(sums) == 2 and sums[0] == sums[1]


def test_another_n_after_a_resume_is_warned_of(configure, caplog):
    caplog.set_level(logging.WARNING)

    def warnings():
        return [message for message in caplog.messages if "N = " in message]

    run_training(configure(*INTRA))
    run_training(configure(*INTRA))
    assert not warnings()
    run_training(configure(*INTRA, "--max-update", "15"))
    assert len(warnings()) == 1 and "N = 15" in warnings()[0] and "towards 12" in warnings()[0]


def test_plain_and_intra_distilled_runs_start_from_each_other(configure, tmp_path, caplog):
    plain, intra, back = (tmp_path / name for name in ("plain", "intra", "back"))

    def train_from(start, system, folder, updates):
        bounds = ["--save-dir", str(folder), "--max-update", str(updates)]
        finetune = ["--finetune-from-model", str(start / "checkpoint_last.pt")] if start else []
        run_training(configure(*system, *bounds, *finetune))

    train_from(None, PLAIN, plain, 12)
    train_from(plain, INTRA, intra, 9)
    train_from(intra, PLAIN, back, 3)
    history = load(back / "checkpoint_last.pt")["optimizer_history"]
    assert history[-1]["num_updates"] == 3
    assert not [message for message in caplog.messages if "N = " in message]


def test_the_log_names_divergence_and_alpha_and_counts_tokens_once(configure, tmp_path, caplog):
    caplog.set_level(logging.INFO, "train")
    one_epoch = "--max-epoch 1 --max-update 0 --log-format json".split()
    for name, system in {"plain": PLAIN, "intra": INTRA}.items():
        run_training(configure(*system, *one_epoch, "--save-dir", str(tmp_path / name)))
    plain, intra = (json.loads(text) for name, _, text in caplog.record_tuples if name == "train")
    assert plain["train_wpb"] == intra["train_wpb"]
    assert plain["train_bsz"] == intra["train_bsz"]
    assert float(intra["train_divergence"]) > 0 and 0 < float(intra["train_alpha"]) < 5
    assert "train_divergence" not in plain
    assert not [key for key in intra if key.endswith("total_updates")]
