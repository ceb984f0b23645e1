"""The test set and the checkpoint of an evaluation, checked before the search begins."""

import sys
from pathlib import Path
from typing import Any

from fairseq import tasks, utils
from fairseq.data import LanguagePairDataset
from omegaconf import DictConfig

from ...checkpoints import check_fits, load_model, num_passes, num_updates, read_checkpoint
from ...errors import UserError
from ...files import read_lines, sha256
from ..prepared import open_prepared
from .results import Checkpoint, TestSet, fits


def open_test_set(data: Path, subset: str) -> tuple[TestSet, list[str]]:
    """Describe a subset of a prepared directory and read its references, one per sentence.

    Raises:
        UserError: the directory is not prepared, or has no such subset
    """
    prepared = open_prepared(data)
    text_format = prepared.text_format
    suffix = text_format.reference("")
    subsets = sorted(path.name.removesuffix(suffix) for path in data.glob(f"*{suffix}"))
    if subset not in subsets:
        raise UserError(f"{data} has no subset {subset!r} to score, only {', '.join(subsets)}")
    references_path = data / text_format.reference(subset)
    references = list(read_lines(references_path))
    source = data / f"{text_format.binary(subset, text_format.source_lang)}.bin"
    test_set = TestSet(
        data=str(data),
        subset=subset,
        source_lang=text_format.source_lang,
        target_lang=text_format.target_lang,
        lowercase=text_format.lowercase,
        sentencepiece_text=prepared.sentencepiece_text,
        sentences=len(references),
        source_sha256=sha256(source),
        references=references_path.name,
        references_sha256=sha256(references_path),
    )
    return test_set, references


# The checkpoint


def inspect_checkpoint(path: Path, cfg: DictConfig, test_set: TestSet) -> Checkpoint:
    """Describe a checkpoint, and raise UserError if it cannot translate a test set."""
    state = read_checkpoint(path)
    task = tasks.setup_task(cfg.task)
    check_fits(task, path, state)
    model = load_model(path, task)
    task.load_dataset(test_set.subset)
    dataset = task.dataset(test_set.subset)
    if len(dataset) != test_set.sentences:
        raise UserError(
            f"{test_set.data}: {test_set.references} has {test_set.sentences} lines for "
            f"{len(dataset)} sentences: prepare the data again"
        )
    max_positions = utils.resolve_max_positions(task.max_positions(), model.max_positions())
    refuse_long_sentences(dataset, test_set.subset, max_positions, cfg.dataset.max_tokens)
    return Checkpoint(
        path=str(path),
        sha256=sha256(path),
        seed=state["cfg"]["common"]["seed"],
        updates=num_updates(state),
        training_seconds=training_seconds(path, state),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        num_passes=num_passes(state),
    )


def refuse_long_sentences(
    dataset: LanguagePairDataset, subset: str, max_positions: tuple[int, int], max_tokens: int
) -> None:
    """Refuse sentences that are longer than the model or a batch takes: fairseq would fail."""
    for side, sizes, limit in zip(
        ("source", "target"), (dataset.src_sizes, dataset.tgt_sizes), max_positions, strict=True
    ):
        longest = int(sizes.argmax())
        length = f"line {longest + 1} of {subset} has {sizes[longest]} {side} tokens"
        if sizes[longest] > limit:
            raise UserError(
                f"{length}, the model takes {limit}: shorten it and prepare again, or train with a "
                f"larger --max-{side}-positions"
            )
        if sizes[longest] > max_tokens:
            raise UserError(f"{length}, more than --max-tokens {max_tokens}: raise it")


def training_seconds(path: Path, state: dict[str, Any]) -> float | None:
    """The seconds of the whole training, read from the last checkpoint beside ``path``.

    A last checkpoint that is damaged or has no time keeps no other from being evaluated: the time
    is None, and the reason is printed on standard error.
    """
    last = path.with_name("checkpoint_last.pt")
    try:
        if last.is_file() and not last.samefile(path):
            path, state = last, read_checkpoint(last)
        seconds = state["extra_state"].get("previous_training_time")
        if fits(seconds, float):
            return seconds
        reason = f"{path} has none"
    except UserError as error:
        reason = str(error)
    print(f"the training time is unknown: {reason}", file=sys.stderr)
    return None
