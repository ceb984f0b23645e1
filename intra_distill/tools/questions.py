"""The file SPLIT.questions of a data directory: what makes an answer of a model's output.

A line is a question, as a JSON object. Nothing here imports torch or fairseq.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UserError
from ..files import read_lines
from .directory import MALFORMED

AGAIN = "it is not what intra-distill prepare-spans wrote: make the data again"


class Span(NamedTuple):
    """The characters [start, end) of a passage."""

    start: int
    end: int


class Window(NamedTuple):
    """A part of a passage that the model reads at once.

    Piece ``start + i`` of the passage is symbol ``offset + i`` of the item, for ``i < length``.
    """

    offset: int
    start: int
    length: int


@dataclass(frozen=True)
class Question:
    """A question, the passage that has its answer, and the windows of the passage.

    Attributes:
        spans: what each piece of the passage stands for.
        windows: at least one; each is an item of the data set, in this order.
    """

    id: str
    passage: str
    spans: tuple[Span, ...]
    windows: tuple[Window, ...]


def as_line(question: Question) -> str:
    """The line of a question."""
    return json.dumps(vars(question), ensure_ascii=False)


def read_questions(path: Path) -> Iterator[Question]:
    """Yield the questions of a file.

    Raises:
        UserError: it cannot be read, or a line, which is named, is not a question, or names
            characters or pieces that the passage does not have.
    """
    for number, line in enumerate(read_lines(path), start=1):
        try:
            yield parse_question(json.loads(line))
        except MALFORMED as error:
            raise UserError(f"{path}, line {number}: {AGAIN}") from error


def parse_question(content: dict[str, Any]) -> Question:
    """Make a question of a JSON object; an error of ``MALFORMED`` if it is none."""
    question = Question(
        content["id"],
        content["passage"],
        tuple(Span(*whole_numbers(span)) for span in content["spans"]),
        tuple(Window(*whole_numbers(window)) for window in content["windows"]),
    )
    check(type(question.id) is str and type(question.passage) is str)
    check(all(start <= end <= len(question.passage) for start, end in question.spans))
    check(len(question.windows) > 0)
    check(all(each.start + each.length <= len(question.spans) for each in question.windows))
    return question


def whole_numbers(values: list[Any]) -> list[int]:
    check(type(values) is list and all(type(each) is int and each >= 0 for each in values))
    return values


def check(holds: bool) -> None:
    if not holds:
        raise ValueError
