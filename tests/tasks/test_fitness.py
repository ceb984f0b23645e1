"""Whether a checkpoint is of a task and of its data."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.tasks import FairseqTask

from intra_distill.checkpoints import check_fits, read_checkpoint
from intra_distill.errors import UserError

from ..support.training import PLAIN


@pytest.fixture
def task_and_state(trainer, tmp_path) -> tuple[FairseqTask, dict[str, Any]]:
    built, path = trainer(*PLAIN), tmp_path / "checkpoint.pt"
    built.consolidate_optimizer()
    built.save_checkpoint(str(path), {"train_iterator": {"epoch": 1}})
    return built.task, read_checkpoint(path)


PATH = Path("x.pt")


def test_a_checkpoint_fits_its_own_data(task_and_state):
    task, state = task_and_state
    check_fits(task, PATH, state)
    state["cfg"]["task"].update(source_lang=None, target_lang=None)  # fairseq found them by itself
    check_fits(task, PATH, state)
    state["cfg"]["task"] = argparse.Namespace(**state["cfg"]["task"])  # of a task without dataclass
    check_fits(task, PATH, state)


def rows(side: str, number: int) -> dict[str, torch.Tensor]:
    return {f"{side}.embed_tokens.weight": torch.zeros(number, 16)}


DAMAGES = {
    "languages swapped": (
        lambda state: state["cfg"]["task"].update(source_lang="en", target_lang="de"),
        "is of other data: its encoder knows en, not de",
    ),
    "another target language": (
        lambda state: state["cfg"]["task"].update(target_lang="fr"),
        "is of other data: its decoder knows fr, not en",
    ),
    "another source dictionary": (
        lambda state: state["model"].update(rows("encoder", 12)),
        "is of other data: its encoder knows 12 types, ",
    ),
    "another target dictionary": (
        lambda state: state["model"].update(rows("decoder", 99)),
        "is of other data: its decoder knows 99 types, ",
    ),
    "a language model": (
        lambda state: state["model"].pop("encoder.embed_tokens.weight"),
        "is not a checkpoint of a translation model",
    ),
    "a scalar for embeddings": (
        lambda state: state["model"].update({"encoder.embed_tokens.weight": torch.tensor(1.0)}),
        "is of other data: its encoder knows 0 types",
    ),
    "no task": (
        lambda state: state["cfg"].pop("task"),
        "is not a checkpoint of a translation model",
    ),
    "no configuration": (
        lambda state: state.update(cfg=None),
        "is not a checkpoint of a translation model",
    ),
}


@pytest.mark.parametrize("damage, line", DAMAGES.values(), ids=DAMAGES)
def test_a_model_of_another_kind_is_refused(task_and_state, damage, line):
    task, state = task_and_state
    damage(state)
    with pytest.raises(UserError, match=f"^x.pt {line}"):
        check_fits(task, PATH, state)


def test_a_model_of_other_symbols_is_refused(task_and_state, data, tmp_path):
    """As many types, in another order: only the data that the model learned from tells."""
    task, state = task_and_state
    state["cfg"]["task"]["data"] = f"{tmp_path}:/other/shard"
    check_fits(task, PATH, state)  # that data is gone
    lines = (Path(data) / "dict.de.txt").read_text().splitlines(keepends=True)
    (tmp_path / "dict.de.txt").write_text("".join(lines))
    check_fits(task, PATH, state)
    (tmp_path / "dict.de.txt").write_text("".join(lines[::-1]))
    with pytest.raises(UserError, match=f"of other data: {tmp_path}/dict.de.txt is not {data}/"):
        check_fits(task, PATH, state)


class OtherTask(FairseqTask):
    pass


def test_a_task_that_has_no_check_is_refused(task_and_state):
    with pytest.raises(UserError) as refusal:
        check_fits(OtherTask(argparse.Namespace()), PATH, task_and_state[1])
    assert str(refusal.value) == "x.pt cannot be checked: OtherTask has no check of checkpoints"
