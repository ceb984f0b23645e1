"""Students and their teachers."""

import pytest

from ..support.training import PLAIN, SMOOTHED, TINY_TRANSFORMER

SELF = ["--task", "translation", "--criterion", "self_distillation", *SMOOTHED]


@pytest.fixture
def teacher(trainer, tmp_path):
    """Options → the path of a checkpoint that fairseq-train would have written, untrained."""

    def teacher(*options, model=TINY_TRANSFORMER) -> str:
        built = trainer(*PLAIN, "--seed", "2", *options, model=model)
        path = str(tmp_path / "teacher.pt")
        built.consolidate_optimizer()
        built.save_checkpoint(path, {"train_iterator": {"epoch": 1}})
        return path

    return teacher


@pytest.fixture
def student(trainer, teacher):
    """Options → a trainer whose criterion has a teacher."""

    def student(*options, model=TINY_TRANSFORMER):
        return trainer(*SELF, "--teacher-path", teacher(model=model), *options, model=model)

    return student
