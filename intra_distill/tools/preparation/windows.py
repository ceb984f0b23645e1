"""A question and the windows of its passage, as XLM-R reads them.

::

    <s> question </s> </s> window </s>

They are made as XTREME (Hu et al., 2020) and Hugging Face's SQuAD make them, but for one thing:
where an answer begins or ends within a word, its pieces are found by the characters that they stand
for, not by cutting the answer alone into pieces.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..corpora.squad import SquadQuestion
from ..questions import Question, Span, Window
from .xlmr_pieces import XlmrPieces

SPECIAL_SYMBOLS, BEFORE_WINDOW = 4, 3  # in all, and before the window
WORD = re.compile(r"[^ \t\r\n\u202f]+")  # by the white space of XTREME and Hugging Face
CACHED_WORDS, CACHED_CHARACTERS = 2**16, 32  # the most, and the most of a word
NO_ANSWER = (0, 0)  # first and last symbol of an answer that is not, or not whole, in a window


class GoldSpan(NamedTuple):
    """The pieces [first, last] of a passage that have its answer.

    Attributes:
        realigned: whether the answer is not where its file says.
    """

    first: int
    last: int
    realigned: bool


@dataclass(frozen=True)
class EncodedQuestion:
    """What a data directory has of a question.

    Attributes:
        items: of each window the symbols that the model reads, (T,).
        gold: where the answer is; None if the passage does not have it.
        truncated: whether the question was too long.
    """

    question: Question
    items: list[np.ndarray]
    gold: GoldSpan | None
    truncated: bool

    @property
    def labels(self) -> list[tuple[int, int]]:
        """Of each window the first and the last symbol of the answer."""
        return [label(window, self.gold) for window in self.question.windows]


class SpanEncoder:
    """Makes of questions and their passages what XLM-R reads."""

    def __init__(
        self, pieces: XlmrPieces, max_length: int, doc_stride: int, max_query_length: int
    ) -> None:
        """
        Args:
            max_length: the most symbols of an item.
            doc_stride: the pieces from the start of a window to the start of the next.
            max_query_length: the most pieces of a question.
        """
        self.max_length, self.doc_stride = max_length, doc_stride
        self.max_query_length = max_query_length
        self.dictionary = pieces.dictionary
        self.cut = pieces.encode
        self.cut_again = lru_cache(CACHED_WORDS)(pieces.encode)

    def encode(self, question: SquadQuestion) -> EncodedQuestion:
        query = [piece.index for piece in self.cut(question.text)]
        kept = query[: self.max_query_length]
        indices, spans = self.cut_passage(question.passage)
        room = self.max_length - len(kept) - SPECIAL_SYMBOLS
        windows = list(make_windows(len(spans), len(kept) + BEFORE_WINDOW, room, self.doc_stride))
        start, end = self.dictionary.bos(), self.dictionary.eos()
        items = [
            np.array([start, *kept, end, end, *indices[w.start : w.start + w.length], end])
            for w in windows
        ]
        return EncodedQuestion(
            Question(question.id, question.passage, tuple(spans), tuple(windows)),
            items,
            find_gold_span(question, spans),
            truncated=len(query) > len(kept),
        )

    def cut_passage(self, passage: str) -> tuple[list[int], list[Span]]:
        """Cut each word of a passage alone, as XTREME does → indices, and characters."""
        indices, spans = [], []
        for word in WORD.finditer(passage):
            cut = self.cut_again if len(word[0]) <= CACHED_CHARACTERS else self.cut
            for index, start, end in cut(word[0]):
                indices.append(index)
                spans.append(Span(word.start() + start, word.start() + end))
        return indices, spans


def make_windows(pieces: int, offset: int, room: int, stride: int) -> Iterator[Window]:
    """Yield the windows of a passage, the last one with its end; one window if it has no pieces.

    Args:
        offset: the symbol of an item with which its window begins.
        room: the most pieces of a window.
        stride: at most ``room``.
    """
    start = 0
    while True:
        yield Window(offset, start, min(pieces - start, room))
        if start + room >= pieces:
            return
        start += stride


def find_gold_span(question: SquadQuestion, spans: list[Span]) -> GoldSpan | None:
    """Find the first of the gold answers that the passage has."""
    for answer in question.answers:
        start = answer.find(question.passage)
        if start is not None and (found := cover(spans, start, start + len(answer.text))):
            return GoldSpan(*found, realigned=start != answer.start)
    return None


def cover(spans: list[Span], start: int, end: int) -> tuple[int, int] | None:
    """The first and the last piece of the characters [start, end), or None.

    A lone space is of no character: it goes with the word that it begins.
    """
    found = [
        number
        for number, span in enumerate(spans)
        if span.start < end and max(span.end, span.start + 1) > start
    ]
    return (found[0], found[-1]) if found else None


def label(window: Window, gold: GoldSpan | None) -> tuple[int, int]:
    if gold is None or gold.first < window.start or gold.last >= window.start + window.length:
        return NO_ANSWER
    shift = window.offset - window.start
    return gold.first + shift, gold.last + shift
