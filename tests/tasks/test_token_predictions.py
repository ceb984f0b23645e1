"""Tags of words and spans of passages: what a tiny XLM-R learns, resumes, and what is refused."""

import shutil
from pathlib import Path

import pytest
import torch
from fairseq.data import Dictionary

from ..support.sentences import PLAIN
from ..support.tokens import CLASSES, SPANS, TAGS, XLMR, save_dictionaries, write_items, write_words
from ..support.training import Killed, assert_equal, kill_at, run_training

KINDS = {"words": TAGS, "questions": SPANS}
METRIC = {"words": "entity_f1", "questions": "accuracy"}
BATCHES = "--batch-size 12 --max-tokens 4096 --required-batch-size-multiple 1".split()
SMALL_DROPOUT = "--dropout 0.05 --attention-dropout 0.05 --classifier-dropout 0.05".split()


@pytest.fixture
def train(configure, token_data, tmp_path):
    """The kind of data, arguments of fairseq-train → its last checkpoint."""

    def train(kind, *options, name="run"):
        cfg = configure(
            *[*KINDS[kind], *BATCHES, "--save-dir", str(tmp_path / name)],
            *["--best-checkpoint-metric", METRIC[kind], "--maximize-best-checkpoint-metric"],
            *options,
            model=XLMR,
            data=token_data[kind],
        )
        run_training(cfg)
        return torch.load(tmp_path / name / "checkpoint_last.pt", weights_only=True)

    return train


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("words", []),
        ("words", ["--alpha", "0.02", "--divergence-reduction", "sum"]),
        ("questions", ["--divergence", "js"]),
        ("questions", PLAIN),
    ],
    ids=["tags, intra_x", "tags, the sum", "spans, js", "spans, plain"],
)
def test_a_tiny_model_learns(train, kind, options):
    state = train(
        kind,
        *["--max-update", "0", "--max-epoch", "15", "--lr", "0.003", *SMALL_DROPOUT, *options],
        *["--no-save-optimizer-state", "--no-epoch-checkpoints"],
    )
    assert state["extra_state"]["best"] >= 100 - 1e-9


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("words", ["--optimizer", "sage", "--sage-base", "adamax", "--update-freq", "2"]),
        ("questions", ["--alpha", "1.5", "--passes-in-memory", "1", "--track-sensitivity", "3"]),
    ],
)
def test_a_killed_run_resumes(train, monkeypatch, kind, options):
    options = [*options, "--save-interval-updates", "5", "--max-update", "13"]
    whole = train(kind, *options, name="whole")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(patch, 8)
        train(kind, *options, name="killed")
    resumed = train(kind, *options, name="killed")
    assert_equal(resumed["model"], whole["model"])
    assert_equal(resumed["extra_state"]["best"], whole["extra_state"]["best"])


def test_a_pretrained_model_gets_the_head_of_another_task(train, tmp_path):
    pretrained = train("words", "--max-update", "1", name="pretrained")
    path = str(tmp_path / "pretrained" / "checkpoint_last.pt")
    options = ["--finetune-from-model", path, "--lr", "1e-9", "--max-update", "1"]
    tuned = train("questions", *options, name="tuned")
    torch.testing.assert_close(
        tuned["model"]["encoder.layers.0.fc1.weight"],
        pretrained["model"]["encoder.layers.0.fc1.weight"],
    )
    heads = [key for key in tuned["model"] if key.startswith("classification_heads.")]
    assert {key.split(".")[1] for key in heads} == {"span"}


@pytest.fixture
def copied(token_data, tmp_path):
    """The kind of data → a copy of its directory, to be changed."""

    def copied(kind) -> Path:
        return Path(shutil.copytree(token_data[kind], tmp_path / "copied"))

    return copied


def labels(folder: Path) -> Dictionary:
    return Dictionary.load(str(folder / "label" / "dict.txt"))


def edit_spans(change):
    def edit(folder: Path) -> None:
        path = folder / "label" / "valid.label"
        lines = path.read_text().splitlines()
        lines[2] = change
        path.write_text("\n".join(lines) + "\n")

    return edit


DAMAGES = {
    "no tag dictionary": (
        "words",
        lambda data: (data / "label" / "dict.txt").unlink(),
        "dict.txt is missing: .* is no data directory of intra-distill prepare-tags",
    ),
    "tags of parts of speech": (
        "words",
        lambda data: (data / "label" / "dict.txt").write_text("O 1\nNOUN 1\n"),
        "has the tag 'NOUN', which is not O, B-TYPE or I-TYPE",
    ),
    "no tags": (
        "words",
        lambda data: (data / "label" / "dict.txt").write_text(""),
        "dict.txt has no tags",
    ),
    "no subset": (
        "words",
        lambda data: (data / "input0" / "valid.bin").unlink(),
        "has no subset valid",
    ),
    "no index": (
        "questions",
        lambda data: (data / "input0" / "valid.idx").unlink(),
        "has no subset valid: .*input0/valid.idx is missing or empty",
    ),
    "an empty subset": (
        "words",
        lambda data: write_items(data / "label" / "valid", [], labels(data)),
        "has no subset valid: .*label/valid.bin is missing or empty",
    ),
    "fewer labels than inputs": (
        "words",
        lambda data: write_items(data / "label" / "valid", [["O"]], labels(data)),
        "label/valid has labels of 1 inputs, there are 30",
    ),
    "a label too many": (
        "words",
        lambda data: write_items(data / "label" / "valid", [["O"] * 60] * 30, labels(data)),
        r"input 1 has 60 labels for \d+ pieces",
    ),
    "numbers of words": (
        "questions",
        edit_spans("three 4"),
        "valid.label, line 3: 'three 4' are not two of",
    ),
    "an end before the start": ("questions", edit_spans("7 6"), "line 3: '7 6' are not two of"),
    "an end outside": ("questions", edit_spans("7 999"), "line 3: '7 999' are not two of"),
    "in the question": ("questions", edit_spans("1 1"), "line 3: 1 1 is not within the window"),
    "no spans": (
        "questions",
        lambda data: (data / "label" / "valid.label").unlink(),
        "valid.label is missing: .* is no data directory of intra-distill prepare-spans",
    ),
    "a line too few": (
        "questions",
        lambda data: (data / "label" / "valid.label").write_text("0 0\n"),
        "has 1 lines for 30 inputs",
    ),
}


@pytest.mark.parametrize("kind, damage, said", DAMAGES.values(), ids=DAMAGES)
def test_damaged_data_is_refused(configure, copied, kind, damage, said, tmp_path):
    data = copied(kind)
    damage(data)
    with pytest.raises(SystemExit, match=said):
        run_training(
            configure(*KINDS[kind], "--save-dir", str(tmp_path / "run"), model=XLMR, data=data)
        )


@pytest.mark.parametrize(
    ("options", "model", "said"),
    [
        (["--regression-target", "--divergence", "mse"], XLMR, "--regression-target is of sent"),
        (
            [],
            "--arch bert --encoder-layers 1 --encoder-embed-dim 8".split(),
            "--arch bert has no heads for tokens: choose another, such as xlm_roberta",
        ),
        ([], [*XLMR, "--layer-norm-eps", "0"], "--layer-norm-eps must be above 0 and below 1"),
        ([], [*XLMR, "--dropout", "nan"], "--dropout must be at least 0 and below 1"),
        (
            ["--criterion", "intra_distillation"],
            XLMR,
            "TaggingIntraDistillationTask need --criterion prediction_intra_distillation",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(configure, token_data, tmp_path, options, model, said):
    folder = ["--save-dir", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match=said):
        run_training(configure(*TAGS, *folder, *options, model=model, data=token_data["words"]))


def test_tags_of_other_data_are_refused(train, configure, tmp_path):
    train("words", "--max-update", "1")
    more = write_words(tmp_path / "more")
    dictionary = labels(more)
    dictionary.add_symbol("B-ORG")
    dictionary.save(str(more / "label" / "dict.txt"))
    start = ["--finetune-from-model", str(tmp_path / "run" / "checkpoint_last.pt")]
    with pytest.raises(SystemExit, match="head has 5 classes, not 6: it is of another task"):
        run_training(
            configure(*TAGS, *start, "--save-dir", str(tmp_path / "new"), model=XLMR, data=more)
        )
    assert labels(more).symbols[4:] == [*CLASSES, "B-ORG"]


def test_the_classes_of_tags_are_those_of_the_dictionary(trainer, tmp_path):
    folder = tmp_path / "data"
    dictionary, tags = Dictionary(), Dictionary()
    dictionary.add_symbol("a")
    for tag in ("I-X", "O", "B-X"):
        tags.add_symbol(tag)
    save_dictionaries(folder, dictionary, tags)
    for split in ("train", "valid"):
        write_items(folder / "input0" / split, [["<s>", "a", "a", "a", "</s>"]], dictionary)
        write_items(folder / "label" / split, [["<pad>", "B-X", "<pad>", "I-X", "<pad>"]], tags)
    one = ["--required-batch-size-multiple", "1"]
    built = trainer(*TAGS, *PLAIN, *one, model=XLMR, data=folder)
    sample = built.batches[0]
    rows, target = built.task.rows(built.model, sample)
    assert rows.shape == (2, 3) and target.tolist() == [2, 0]
    counts = built.task.own_counts(target, target, sample)
    assert {name: int(count) for name, count in counts.items()} == {
        **{"right": 1, "predicted": 1, "gold": 1}
    }
    wrong = built.task.own_counts(torch.tensor([2, 2]), target, sample)
    assert {name: int(count) for name, count in wrong.items()} == {
        **{"right": 0, "predicted": 2, "gold": 1}
    }
