"""Checkpoints trained once on parallel text and on labelled text, and what is drawn."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from intra_distill.tools.scoring.evaluation import Evaluation, evaluate

from ..support.checkpoints import train_model
from ..support.labelled import (
    CLASSES,
    make_labelled,
    make_questions,
    make_words,
    train_predictor,
    train_xlmr,
)


@pytest.fixture(scope="session")
def checkpoint(prepared, tmp_path_factory) -> Path:
    """A checkpoint of fairseq's own task that translates well, trained with seed 4."""
    options = "--task translation --lr-scheduler inverse_sqrt --warmup-updates 30 --seed 4".split()
    return train_model(prepared, tmp_path_factory.mktemp("runs") / "plain", 150, *options)


@pytest.fixture(scope="session")
def distilled(prepared, tmp_path_factory) -> Path:
    """A checkpoint of this package's task and criterion, with two passes."""
    task = "--task translation_intra_distillation --num-passes 2".split()
    criterion = ["--criterion", "intra_distillation"]
    folder = tmp_path_factory.mktemp("runs") / "distilled"
    return train_model(prepared, folder, 20, *task, *criterion)


@pytest.fixture(scope="session")
def base(prepared, checkpoint, tmp_path_factory) -> Path:
    """The JSON of an evaluation of ``checkpoint``."""
    results_path = tmp_path_factory.mktemp("base")
    evaluate(Evaluation(prepared, checkpoint, results_path))
    return results_path / "test.json"


@pytest.fixture(scope="session")
def of_classes(tmp_path_factory) -> Path:
    """A data directory of pairs of sentences in two classes, whose test set has no labels."""
    folder = tmp_path_factory.mktemp("classes")
    return make_labelled(folder, "mrpc", CLASSES, ("F1", "accuracy"), {"valid1": "mrpc-again"})


@pytest.fixture(scope="session")
def of_numbers(tmp_path_factory) -> Path:
    """A data directory of pairs of sentences with numbers."""
    folder = tmp_path_factory.mktemp("numbers")
    return make_labelled(folder, "sts-b", None, ("Pearson", "Spearman"))


@pytest.fixture(scope="session")
def classifier(of_classes, tmp_path_factory) -> Path:
    """A checkpoint of a plain BERT on ``of_classes``."""
    folder = tmp_path_factory.mktemp("run") / "plain"
    return train_predictor(of_classes, folder, 20)


@pytest.fixture(scope="session")
def regressor(of_numbers, tmp_path_factory) -> Path:
    """A checkpoint of a plain BERT on ``of_numbers``."""
    folder = tmp_path_factory.mktemp("run") / "plain"
    return train_predictor(of_numbers, folder, 20, "--divergence", "mse")


@pytest.fixture(scope="session")
def of_words(tmp_path_factory) -> Path:
    """A data directory of tagged words, with the test sets test-ar and test-de."""
    return make_words(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="session")
def of_questions(tmp_path_factory) -> Path:
    """A data directory of questions, with the test sets test-ar and test-de."""
    return make_questions(tmp_path_factory.mktemp("questions"))


@pytest.fixture(scope="session")
def tagger(of_words, tmp_path_factory) -> Path:
    """A checkpoint of a tiny XLM-R on ``of_words``."""
    return train_xlmr(of_words, tmp_path_factory.mktemp("run") / "plain", 20)


@pytest.fixture(scope="session")
def answerer(of_questions, tmp_path_factory) -> Path:
    """A checkpoint of a tiny XLM-R on ``of_questions``."""
    return train_xlmr(of_questions, tmp_path_factory.mktemp("run") / "plain", 40)


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """What is drawn from here on, once it is in its file."""
    drawn = []
    save = Figure.savefig

    def keep_and_save(figure: Figure, *arguments, **options) -> None:
        drawn.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep_and_save)
    return drawn
