"""Predictions from sentences: what a tiny BERT learns, resumes, and what is refused."""

import shutil
from pathlib import Path

import pytest
import torch
from fairseq.data import Dictionary

from ..support.sentences import BERT, CLASSES, NUMBERS, PLAIN, write_binary, write_sentences
from ..support.training import Killed, assert_equal, kill_at, run_training

KINDS = {"classes": CLASSES, "numbers": NUMBERS}
BATCHES = "--batch-size 12 --max-tokens 4096 --required-batch-size-multiple 1".split()
SMALL_DROPOUT = "--dropout 0.05 --attention-dropout 0.05 --classifier-dropout 0.05".split()


@pytest.fixture
def train(configure, sentences, tmp_path):
    """The kind of labels, arguments of fairseq-train → its last checkpoint."""

    def train(kind, *options, name="run"):
        cfg = configure(
            *[*KINDS[kind], *BATCHES, "--save-dir", str(tmp_path / name), *options],
            model=BERT,
            data=sentences[kind],
        )
        run_training(cfg)
        return torch.load(tmp_path / name / "checkpoint_last.pt", weights_only=True)

    return train


@pytest.mark.parametrize(
    ("kind", "metric", "least", "options"),
    [
        ("classes", "accuracy", 100, ["--divergence-reduction", "mean"]),
        ("classes", "mcc", 100, ["--alpha", "0.1", "--divergence-reduction", "sum"]),
        ("numbers", "pearson", 95, ["--lr", "0.003", "--max-epoch", "30"]),
        ("classes", "f1", 100, PLAIN),
    ],
    ids=["intra_x", "the sum", "numbers", "plain"],
)
def test_a_tiny_model_learns(train, kind, metric, least, options):
    state = train(
        kind,
        *["--best-checkpoint-metric", metric, "--maximize-best-checkpoint-metric"],
        *["--max-update", "0", "--max-epoch", "12", *SMALL_DROPOUT, *options],
        *["--no-save-optimizer-state", "--no-epoch-checkpoints"],
    )
    assert state["extra_state"]["best"] >= least - 1e-9


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("classes", ["--optimizer", "sage", "--sage-base", "adamax"]),
        ("classes", ["--alpha", "1.5", "--alpha-p", "6.67", "--passes-in-memory", "1"]),
        ("numbers", ["--optimizer", "adamax", "--update-freq", "2", "--track-sensitivity", "3"]),
    ],
    ids=["sage", "one in memory", "numbers"],
)
def test_a_killed_run_resumes(train, monkeypatch, kind, options):
    options = [*options, "--save-interval-updates", "5", "--max-update", "13"]
    options += ["--best-checkpoint-metric", {"classes": "f1", "numbers": "pearson"}[kind]]
    whole = train(kind, *options, "--maximize-best-checkpoint-metric", name="whole")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, 8)
        train(kind, *options, "--maximize-best-checkpoint-metric", name="killed")
    resumed = train(kind, *options, "--maximize-best-checkpoint-metric", name="killed")
    assert_equal(resumed["model"], whole["model"])
    assert_equal(resumed["extra_state"]["best"], whole["extra_state"]["best"])


def test_a_pretrained_model_gets_a_new_head(train, tmp_path):
    pretrained = train("classes", "--max-update", "1", name="pretrained")
    path = str(tmp_path / "pretrained" / "checkpoint_last.pt")
    options = ["--finetune-from-model", path, "--lr", "1e-9", "--max-update", "1"]
    tuned = train("classes", *options, "--classification-head-name", "other", name="tuned")
    torch.testing.assert_close(
        tuned["model"]["encoder.embed_tokens.weight"],
        pretrained["model"]["encoder.embed_tokens.weight"],
    )
    heads = [key for key in tuned["model"] if key.startswith("classification_heads.")]
    assert {key.split(".")[1] for key in heads} == {"other"}


@pytest.fixture
def copied(sentences, tmp_path):
    """The kind of labels → a copy of their data directory, to be changed."""

    def copied(kind) -> Path:
        return Path(shutil.copytree(sentences[kind], tmp_path / "copied"))

    return copied


def test_a_checkpoint_with_other_classes_is_refused(train, configure, tmp_path):
    train("classes", "--max-update", "1")
    three = write_sentences(tmp_path / "three", "classes", classes=3)
    path = str(tmp_path / "run" / "checkpoint_last.pt")
    for start in (["--finetune-from-model", path], ["--restore-file", path]):
        folder = ["--save-dir", str(tmp_path / "new")]
        cfg = configure(
            *[*CLASSES, *BATCHES, "--num-classes", "3", *start, *folder], model=BERT, data=three
        )
        with pytest.raises(SystemExit, match="head has 2 classes, not 3: it is of another task"):
            run_training(cfg)


REFUSED = {
    "another number": ("classes", ["--num-classes", "3"], "has 2 classes, not --num-classes 3"),
    "no number": ("classes", ["--num-classes", "-1"], "--num-classes must be the number"),
    "a regression on classes": (
        "classes",
        [*NUMBERS[4:]],
        "--regression-target predicts a number, but .*label/dict.txt has classes",
    ),
    "two numbers": ("numbers", ["--num-classes", "2"], "needs --num-classes 1, not 2"),
    "another model": ("classes", ["--arch", "transformer"], "has no classification heads"),
    "a criterion of one pass": (
        "classes",
        ["--criterion", "sentence_prediction"],
        "does not support 3 passes",
    ),
    "no such subset": ("classes", ["--valid-subset", "dev"], "has no subset dev"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_options_that_do_not_fit_the_data_are_refused(train, case):
    kind, options, said = REFUSED[case]
    with pytest.raises(SystemExit, match=said):
        train(kind, *options)


def test_a_regression_needs_its_option(configure, sentences):
    cfg = configure(*CLASSES, "--num-classes", "1", model=BERT, data=sentences["numbers"])
    with pytest.raises(SystemExit, match="if the labels are numbers, add --regression-target"):
        run_training(cfg)


def test_other_data_is_refused(configure, data):
    with pytest.raises(SystemExit, match="is no data directory of intra-distill glue"):
        run_training(configure(*CLASSES, model=BERT, data=data))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nan", "label 3 is 'nan', which is none of the task's labels"),
        ("inf", "label 3 is 'inf'"),
        ("", "label 3 is ''"),
        ("many", "label 3 is 'many'"),
        ("3\n4", "valid has 31 labels for 30 sentences"),
    ],
)
def test_labels_that_are_no_numbers_are_refused(configure, copied, line, said):
    data = copied("numbers")
    path = data / "label" / "valid.label"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, *lines[3:]]) + "\n")
    with pytest.raises(SystemExit, match=said):
        run_training(configure(*NUMBERS, model=BERT, data=data))


def test_labels_outside_the_classes_are_refused(configure, copied):
    data = copied("classes")
    dictionary = Dictionary.load(str(data / "label" / "dict.txt"))
    write_binary(data / "label" / "train", [["0"], ["1"], ["2"]] * 40, dictionary)
    with pytest.raises(SystemExit, match="label 3 is '<unk>', which is none of the task's labels"):
        run_training(configure(*CLASSES, model=BERT, data=data))


def test_a_subset_without_labels_can_be_loaded_but_not_trained_on(configure, copied):
    data = copied("classes")
    for name in ("test", "valid"):
        for extension in ("bin", "idx"):
            (data / "label" / f"{name}.{extension}").unlink()
    with pytest.raises(SystemExit, match="has no labels of valid"):
        run_training(configure(*CLASSES, model=BERT, data=data))
