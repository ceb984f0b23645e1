"""Answers of logits, and their scores: SQuAD v1.1's exact match and F1 (Rajpurkar et al., 2016)."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..questions import Question, Window

ARTICLES = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def best_answer(
    question: Question,
    starts: Sequence[np.ndarray],
    ends: Sequence[np.ndarray],
    n_best: int = 20,
    max_answer_length: int = 30,
) -> str:
    """The part of the passage with the greatest sum of its start's and its end's logit.

    As in XTREME and Hugging Face's SQuAD: of each window, the ``n_best`` starts are combined with
    the ``n_best`` ends. A start counts in the window where it has the most context alone. XTREME
    then takes whole words and cuts them to the pieces; here a piece's characters are known.

    Args:
        starts, ends: of each window the logits of the symbols of its item, (T,).
        max_answer_length: in pieces.

    Returns:
        the answer with single spaces; "" if no start and end of the passage go together.
    """
    best, answer = -np.inf, ""
    window_of_start = most_context(question)
    for number, window in enumerate(question.windows):
        first = best_pieces(starts[number], window, n_best)
        first = first[window_of_start[first] == number]
        last = best_pieces(ends[number], window, n_best)
        if not (len(first) and len(last)):
            continue
        shift = window.offset - window.start
        sums = np.add.outer(
            starts[number][first + shift].astype(np.float64),
            ends[number][last + shift].astype(np.float64),
        )
        lengths = np.subtract.outer(-first, -last) + 1
        sums[(lengths < 1) | (lengths > max_answer_length)] = -np.inf
        i, j = np.unravel_index(sums.argmax(), sums.shape)  # of equal sums the first, as in XTREME
        if sums[i, j] > best:
            best, answer = sums[i, j], passage_text(question, first[i], last[j])
    return answer


def best_pieces(logits: np.ndarray, window: Window, n_best: int) -> np.ndarray:
    """The pieces of the passage among the ``n_best`` symbols of an item, the best first."""
    symbols = np.argsort(-logits, kind="stable")[:n_best]
    pieces = symbols - window.offset
    return pieces[(0 <= pieces) & (pieces < window.length)] + window.start


def most_context(question: Question) -> np.ndarray:
    """The number of the window in which a piece has the most context, of each piece, (pieces,).

    That is the fewer of the pieces before and behind it; a longer window has a little more.
    """
    most = np.full(len(question.spans), -np.inf)
    chosen = np.zeros(len(question.spans), dtype=np.int64)
    for number, window in enumerate(question.windows):
        place = np.arange(window.length)
        context = np.minimum(place, window.length - 1 - place) + 0.01 * window.length
        pieces = slice(window.start, window.start + window.length)
        better = context > most[pieces]
        most[pieces][better] = context[better]
        chosen[pieces][better] = number
    return chosen


def passage_text(question: Question, first: int, last: int) -> str:
    """The text from one piece of the passage to another, white space collapsed."""
    text = question.passage[question.spans[first].start : question.spans[last].end]
    return " ".join(text.split())


def normalise(answer: str) -> str:
    """Lower-case an answer, and remove punctuation of ASCII, English articles and spaces."""
    text = answer.lower().translate(WITHOUT_PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", text).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1 if a prediction is the same as one of the gold answers, both normalised, else 0."""
    return float(normalise(prediction) in map(normalise, answers))


def answer_f1(prediction: str, answers: Sequence[str]) -> float:
    """F1 of the words of a prediction and of a gold answer, normalised; the best of the answers.

    A word is what spaces separate, in any language. Without a common word F1 is 0.
    """
    return max(word_f1(normalise(prediction).split(), normalise(each).split()) for each in answers)


def word_f1(predicted: list[str], gold: list[str]) -> float:
    common = (Counter(predicted) & Counter(gold)).total()
    return 2 * common / (len(predicted) + len(gold)) if common else 0.0
