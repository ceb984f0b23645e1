"""Validation sentences that are too long, before the first update: refused as fairseq would fail.

The sentences of the tiny corpus have up to nine words, and the model here takes six tokens.
"""

from pathlib import Path

import pytest
from fairseq import checkpoint_utils
from fairseq.trainer import Trainer

from ..support.files import contents
from ..support.training import INTRA, PLAIN, SMOOTHED, run_training

SHORT = "--max-source-positions 6 --max-target-positions 7".split()
SKIP = ["--skip-invalid-size-inputs-valid-test"]
FAIRSEQ = "--task translation --criterion label_smoothed_cross_entropy".split() + SMOOTHED


@pytest.fixture
def updates(monkeypatch) -> list[int]:
    """The updates that are made from here on."""
    made = []
    train_step = Trainer.train_step

    def noted(self, samples, raise_oom=False):
        made.append(self.get_num_updates())
        return train_step(self, samples, raise_oom)

    monkeypatch.setattr(Trainer, "train_step", noted)
    return made


@pytest.fixture
def no_dry_run(monkeypatch) -> None:
    """As in a fairseq that looks at no validation set before the first validation."""

    def fail(self, subset, disable_iterator_cache=False):
        raise AssertionError("the validation set is looked at")

    monkeypatch.setattr(Trainer, "get_valid_iterator", fail)


def refusal(cfg) -> str:
    with pytest.raises(SystemExit) as ending:
        run_training(cfg)
    line = ending.value.code
    assert line.startswith("intra_distill: ") and line.isprintable()
    return line


def first_too_long(data: str, subset: str, source: int, target: int) -> tuple[int, int, int]:
    """The number of the first sentence with more words than that, and its tokens with </s>."""
    texts = (Path(data).with_name(f"{subset}.{lang}").read_text() for lang in ("de", "en"))
    lengths = [
        tuple(len(side.split()) + 1 for side in pair)
        for pair in zip(*(text.splitlines() for text in texts))
    ]
    return next(
        (number, *pair)
        for number, pair in enumerate(lengths, start=1)
        if pair[0] > source or pair[1] > target
    )


@pytest.mark.parametrize("system", [INTRA, PLAIN], ids=["three passes", "one pass"])
def test_a_sentence_beyond_the_models_positions(configure, data, updates, no_dry_run, system):
    line = refusal(configure(*system, *SHORT))
    number, source, target = first_too_long(data, "valid", 6, 7)
    assert f"sentence {number} of the validation set valid, the first of " in line
    assert f"has {source} source and {target} target tokens, and the model takes 6 and 7" in line
    assert "--max-source-positions" in line and SKIP[0] in line and not updates


def test_a_sentence_beyond_a_batch(configure, data, updates, no_dry_run):
    line = refusal(configure(*INTRA, "--max-tokens-valid", "6"))
    number, source, target = first_too_long(data, "valid", 6, 6)
    assert f"sentence {number} of the validation set valid" in line
    assert f"has {source} source and {target} target tokens, more than the 6 of a batch" in line
    assert "--max-tokens-valid" in line and not updates
    assert "more than the 6" in refusal(configure(*INTRA, "--max-tokens-valid", "6", *SKIP))


def test_every_validation_set_is_looked_at(configure, updates, no_dry_run):
    """But not the training set: fairseq validates on the batches of the training then."""
    line = refusal(configure(*INTRA, *SHORT, "--valid-subset", "train,test"))
    assert "of the validation set test" in line and not updates


@pytest.mark.parametrize(
    "trains, options",
    [
        (True, SKIP),
        (True, ["--disable-validation", "--max-tokens-valid", "6"]),
        (True, ["--max-tokens-valid", "6", *SKIP]),
        (True, ["--valid-subset", "train", "--ignore-unused-valid-subsets"]),
        (False, ["--max-tokens-valid", "5", *SKIP]),
        (False, ["--valid-subset", "test", "--ignore-unused-valid-subsets"]),
    ],
    ids=str,
)
def test_what_is_refused_is_what_fairseqs_own_task_fails_at(
    configure, updates, tmp_path, trains, options
):
    for name, system in {"fairseq": FAIRSEQ, "ours": INTRA}.items():
        updates.clear()
        folder = ["--save-dir", str(tmp_path / name), "--max-update", "2"]
        cfg = configure(*system, *SHORT, *options, *folder)
        if trains:
            run_training(cfg)
        elif name == "ours":
            refusal(cfg)
        else:
            with pytest.raises(Exception, match="max_positions|max_tokens"):
                run_training(cfg)
        assert updates == ([0, 1] if trains else [])


def test_a_run_that_resumes_is_refused_and_loses_nothing(configure, updates, tmp_path):
    run_training(configure(*INTRA, *SHORT, *SKIP, "--max-update", "2"))
    before = contents(tmp_path / "checkpoints")
    updates.clear()
    assert "the model takes 6 and 7" in refusal(configure(*INTRA, *SHORT))
    assert before == contents(tmp_path / "checkpoints") and not updates


def test_a_batch_smaller_than_the_longest_sentence_limits_training_alone(configure, updates):
    """fairseq drops training sentences of more than --max-tokens, which limits no validation."""
    batches = ["--max-tokens", "8", "--max-tokens-valid", "80", "--max-update", "2"]
    run_training(configure(*INTRA, *batches))
    assert updates == [0, 1]


def test_without_a_training_no_set_is_looked_at(configure, tmp_path):
    """As in fairseq-validate --valid-subset valid,train."""
    run_training(configure(*INTRA, *SHORT, *SKIP, "--max-update", "1"))
    path = tmp_path / "checkpoints" / "checkpoint_last.pt"
    _, _, task = checkpoint_utils.load_model_ensemble_and_task([str(path)])
    for subset in ("valid", "train"):
        task.load_dataset(subset)
        batches = task.get_batch_iterator(task.dataset(subset), max_tokens=80)
        assert len(batches) > 0
