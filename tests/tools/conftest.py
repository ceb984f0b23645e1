"""Checkpoints trained once on the prepared data directory, and what is drawn."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from intra_distill.tools.scoring.evaluation import Evaluation, evaluate

from ..support.checkpoints import train_model


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
