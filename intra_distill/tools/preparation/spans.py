"""The steps from questions to the data directory that fairseq trains a prediction of spans on."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from ...errors import UserError
from ...files import write_lines
from ..corpora.squad import SHOWN, SquadQuestion, read_squad
from ..corpora.transfer import TEST, TRAIN, find_splits
from ..directory import Content
from ..labelled import FIRST, LABEL, questions, reference
from ..options import check_number
from ..questions import as_line
from .binarised import indexed
from .splits import progress
from .transfer import GREATEST_LENGTH, prepare_transfer
from .windows import NO_ANSWER, SPECIAL_SYMBOLS, SpanEncoder
from .xlmr_pieces import DICTIONARY, XlmrPieces


@dataclass(frozen=True)
class SpanPreparation:
    """The questions to prepare, and how: the options of ``intra-distill prepare-spans``.

    Attributes:
        raw: the folder of train.json, valid.json and test-NAME.json.
        xlmr: the folder of the pieces, made by ``intra-distill xlmr``.
        destdir: the data directory to make.
        max_length: the most symbols of a question with a window of its passage.
        doc_stride: the pieces from the start of a window to the start of the next.
        max_query_length: the most pieces of a question.
    """

    EXTENSION = "json"
    OPTIONS = {
        "max_length": "--max-length",
        "doc_stride": "--doc-stride",
        "max_query_length": "--max-query-length",
    }

    raw: Path
    xlmr: Path
    destdir: Path
    max_length: int = 384
    doc_stride: int = 128
    max_query_length: int = 64


def prepare_spans(preparation: SpanPreparation) -> bool:
    """Make the data directory ``preparation.destdir``, as :func:`.transfer.prepare_transfer` says.

    Raises:
        UserError: an option or an input file is wrong, or the directory was made from another
            request or cannot be written to.
    """
    check_lengths(preparation)

    def write(pieces: XlmrPieces, folder: Path) -> Content:
        lengths = {name: getattr(preparation, name) for name in SpanPreparation.OPTIONS}
        return Writer(pieces, SpanEncoder(pieces, **lengths), preparation.raw).write(folder)

    return prepare_transfer(preparation, write, describe_split, describe_data)


def describe_data(splits: Content) -> Content:
    """What the report says of the whole data directory."""
    metrics = ["answer-F1", "exact-match"]
    return {"form": "questions", "dataset": "questions", "classes": None, "metrics": metrics}


def check_lengths(preparation: SpanPreparation) -> None:
    """Raise UserError for lengths with which a piece of a passage could be in no window."""
    query, length = preparation.max_query_length, preparation.max_length
    check_number("--max-query-length", query, 1, GREATEST_LENGTH)
    check_number("--max-length", length, query + SPECIAL_SYMBOLS + 1, GREATEST_LENGTH)
    check_number("--doc-stride", preparation.doc_stride, 1)
    room = length - query - SPECIAL_SYMBOLS
    if preparation.doc_stride > room:
        raise UserError(
            f"--doc-stride {preparation.doc_stride} leaves gaps between windows of {room} pieces, "
            f"which --max-length {length} and --max-query-length {query} allow: lower it"
        )


@dataclass(frozen=True)
class Writer:
    """Writes the files of a data directory."""

    pieces: XlmrPieces
    encoder: SpanEncoder
    raw: Path

    def write(self, folder: Path) -> Content:
        """Write all files of the data directory, and return what the report says of the splits."""
        (folder / FIRST).mkdir()
        (folder / LABEL).mkdir()
        shutil.copyfile(self.pieces.folder / DICTIONARY, folder / FIRST / DICTIONARY)
        splits = find_splits(self.raw, SpanPreparation.EXTENSION)
        return {split: self.write_split(split, path, folder) for split, path in splits.items()}

    def write_split(self, split: str, path: Path, folder: Path) -> Content:
        """Write the files of a split, and return what the report says of it.

        A training question whose passage does not have its answer is left out.
        """
        read, is_train = read_squad(path), split == TRAIN
        if not is_train:
            check_answers(path, read)
        labels, lines, counts = [], [], Counter()
        with indexed(folder / FIRST / split, len(self.pieces.dictionary)) as builder:
            for question in progress(read, len(read), f"encoding {split}", "questions"):
                encoded = self.encoder.encode(question)
                if is_train and encoded.gold is None:
                    continue
                for item in encoded.items:
                    builder.add_item(torch.from_numpy(item))
                labels += encoded.labels
                counts["sentences"] += 1
                counts["truncated"] += encoded.truncated
                counts["realigned"] += encoded.gold is not None and encoded.gold.realigned
                if not is_train:
                    lines.append(as_line(encoded.question))
        if not labels:
            raise UserError(f"{path}: no question has its answer in its passage")
        write_lines(folder / LABEL / f"{split}.label", (f"{a} {b}" for a, b in labels))
        if not is_train:
            write_lines(folder / reference(split), map(gold_answers, read))
            write_lines(folder / questions(split), lines)
        return {
            "dataset": split.removeprefix(TEST),
            "sentences": counts["sentences"],
            "labelled": True,
            "windows": len(labels),
            "windows_without_answer": labels.count(NO_ANSWER),
            "truncated": counts["truncated"],
            "realigned": counts["realigned"],
            "dropped": len(read) - counts["sentences"],
        }


def gold_answers(question: SquadQuestion) -> str:
    return json.dumps([answer.text for answer in question.answers], ensure_ascii=False)


def check_answers(path: Path, read: Iterable[SquadQuestion]) -> None:
    """Raise UserError unless all questions, which are scored, have gold answers."""
    for question in read:
        if not question.answers or any(answer.is_blank for answer in question.answers):
            raise UserError(
                f"{path}, question {question.id[:SHOWN]}: it has no gold answer, or a blank one: "
                "leave it out"
            )


def describe_split(split: str, counts: Content) -> str:
    """Say what a split holds, and what became of its questions."""
    said = f"{split}: {counts['sentences']:,} questions; {counts['windows']:,} windows"
    if counts["windows_without_answer"]:
        said += f", {counts['windows_without_answer']:,} without the whole answer"
    for what in ("truncated", "realigned", "dropped"):
        if counts[what]:
            said += f"; {counts[what]:,} {what}"
    return said
