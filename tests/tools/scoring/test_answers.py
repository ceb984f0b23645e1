"""Answers against a plain restatement of XTREME's decoding; scores by hand and XTREME's own."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intra_distill.tools.preparation.windows import make_windows
from intra_distill.tools.questions import Question, Span, Window
from intra_distill.tools.scoring.answers import (
    answer_f1,
    best_answer,
    exact_match,
    most_context,
    normalise,
)


def letters(number: int, windows: list[Window]) -> Question:
    """A passage of so many words of one letter, each a piece."""
    passage = " ".join(chr(ord("a") + n % 26) for n in range(number))
    spans = tuple(Span(2 * n, 2 * n + 1) for n in range(number))
    return Question("q", passage, spans, tuple(windows))


def logits(size: int, **places: float) -> np.ndarray:
    """0 but where a place, such as at3, says otherwise."""
    made = np.zeros(size, dtype=np.float32)
    for place, value in places.items():
        made[int(place[2:])] = value
    return made


ONE = letters(6, [Window(3, 0, 6)])


def test_the_greatest_sum_is_the_answer():
    start, end = logits(10, at4=3, at6=2), logits(10, at5=1, at7=4)
    assert best_answer(ONE, [start], [end]) == "b c d e"
    assert best_answer(ONE, [start], [end], max_answer_length=3) == "d e"
    assert best_answer(ONE, [start], [end], max_answer_length=4) == "b c d e"


def test_a_start_may_not_be_behind_its_end():
    start, end = logits(10, at7=9), logits(10, at3=9, at8=1)
    assert best_answer(ONE, [start], [end]) == "e f"
    assert best_answer(ONE, [logits(10, at8=9)], [logits(10, at8=9)]) == "f"


def test_what_is_not_in_the_passage_is_no_answer():
    outside = logits(10, at0=90, at2=80, at9=70)
    assert best_answer(ONE, [outside + logits(10, at5=1)], [outside + logits(10, at6=1)]) == "c d"
    assert best_answer(ONE, [outside], [outside], n_best=3) == ""
    nothing = letters(0, [Window(3, 0, 0)])
    assert best_answer(nothing, [logits(4)], [logits(4)]) == ""


def test_padding_behind_an_item_is_not_seen():
    padded = np.full(30, -1e4, dtype=np.float32)
    padded[:10] = logits(10, at5=2)
    assert best_answer(ONE, [padded], [padded]) == best_answer(ONE, [padded[:10]], [padded[:10]])


def test_a_start_counts_where_it_has_the_most_context():
    question = letters(8, [Window(3, 0, 6), Window(3, 4, 4)])
    assert most_context(question).tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    starts, ends = [logits(10, at8=9), logits(8, at4=1)], [logits(10), logits(8, at4=1)]
    assert best_answer(question, starts, ends) == "f"  # by the second window
    starts, ends = [logits(10, at7=1), logits(8, at3=9)], [logits(10, at7=1), logits(8)]
    assert best_answer(question, starts, ends) == "e"  # by the first one


def test_windows_without_an_answer_leave_it_to_the_others():
    question = letters(8, [Window(3, 0, 6), Window(3, 4, 4)])
    at_start = logits(10, at0=20)
    starts, ends = [at_start, logits(8, at5=5)], [at_start, logits(8, at6=5)]
    assert best_answer(question, starts, ends) == "g h"


@pytest.mark.parametrize(
    "passage, spans, expected",
    [
        ("a  b\n\tc", [(0, 1), (3, 4), (6, 7)], "a b c"),
        ("\u0627\u0628 \u062a", [(0, 1), (1, 2), (3, 4)], "\u0627\u0628 \u062a"),
        ("柏林市。", [(0, 0), (0, 2), (2, 3)], "柏林市"),
        ("gru\u0308n ok", [(0, 2), (2, 4), (4, 5)], "gru\u0308n"),
        ("ﬁt", [(0, 1), (0, 1), (1, 2)], "ﬁt"),
        ("x y\u00a0", [(0, 1), (2, 3), (3, 4)], "x y"),
    ],
)
def test_an_answer_is_the_passages_own_text(passage, spans, expected):
    question = Question("q", passage, tuple(Span(*each) for each in spans), (Window(3, 0, 3),))
    assert best_answer(question, [logits(7, at3=1)], [logits(7, at5=1)]) == expected


def restated(question: Question, starts, ends, n_best: int, longest: int) -> str:
    """XTREME's decoding, one candidate after the other."""

    def best(scores: np.ndarray) -> list[int]:
        ranked = sorted(enumerate(scores.tolist()), key=lambda x: x[1], reverse=True)
        return [index for index, _ in ranked[:n_best]]

    def is_max_context(number: int, piece: int) -> bool:
        best_number, best_score = None, None
        for n, window in enumerate(question.windows):
            last = window.start + window.length - 1
            if window.start <= piece <= last:
                score = min(piece - window.start, last - piece) + 0.01 * window.length
                if best_score is None or score > best_score:
                    best_number, best_score = n, score
        return best_number == number

    candidates = []
    for number, window in enumerate(question.windows):
        in_passage = range(window.offset, window.offset + window.length)
        for start in best(starts[number]):
            for end in best(ends[number]):
                if start not in in_passage or end not in in_passage:
                    continue
                shift = window.start - window.offset
                if not is_max_context(number, start + shift):
                    continue
                if end < start or end - start + 1 > longest:
                    continue
                score = starts[number].tolist()[start] + ends[number].tolist()[end]
                candidates.append((score, start + shift, end + shift))
    if not candidates:
        return ""
    _, start, end = max(candidates, key=lambda x: x[0])
    return question.passage[question.spans[start].start : question.spans[end].end]


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.integers(0, 40),
    room=st.integers(1, 20),
    stride=st.integers(1, 20),
    n_best=st.sampled_from([1, 3, 20]),
    longest=st.sampled_from([1, 4, 30]),
    levels=st.sampled_from([2, 5, 1000]),
    seed=st.integers(0, 1000),
)
def test_decoding_is_xtremes(pieces, room, stride, n_best, longest, levels, seed):
    windows = list(make_windows(pieces, 5, room, min(stride, room)))
    question, rng = letters(pieces, windows), np.random.default_rng(seed)
    sizes = [window.offset + window.length + 1 for window in windows]
    starts, ends = (
        [rng.integers(0, levels, size).astype(np.float32) for size in sizes] for _ in range(2)
    )
    expected = restated(question, starts, ends, n_best, longest)
    assert best_answer(question, starts, ends, n_best, longest) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("The  Cat, sat!", "cat sat"),
        ("an apple a day", "apple day"),
        ("U.S. dollar's", "us dollars"),
        ("A-team", "ateam"),  # punctuation goes before articles
        ("a", ""),
        ("", ""),
        ("\tthe\nother\u3000one\u00a0", "other one"),
        ("a la carte", "la carte"),  # English articles, in any language
        ("ANOTHER theatre", "another theatre"),
        ("«Война и мир»", "«война и мир»"),  # ASCII's punctuation alone
        ("في ألمانيا، سنة", "في ألمانيا، سنة"),
        ("İstanbul", "i̇stanbul"),
        ("1,237.5%", "12375"),
        ("x\u2019s `y` ~z", "x\u2019s y z"),
    ],
)
def test_answers_are_normalised_as_in_squad(text, expected):
    assert normalise(text) == expected


@pytest.mark.parametrize(
    "prediction, answers, match, f1",
    [
        ("Wound care", ["Wound care"], 1, 1),  # of XTREME's mock predictions
        ("بطولتين", ["بطولتين"], 1, 1),
        ("the Denver Broncos!", ["Denver Broncos"], 1, 1),
        ("Denver Broncos", ["Denver Broncos of Colorado"], 0, 2 * 1 * 0.5 / 1.5),
        ("Denver Broncos", ["Carolina Panthers"], 0, 0),
        ("Broncos", ["Carolina", "Denver Broncos", "Denver Broncos of Colorado"], 0, 2 / 3),
        ("Broncos", ["Carolina", "broncos."], 1, 1),
        ("b b a c", ["b b b"], 0, 2 * (2 / 3) * (2 / 3) / (4 / 3)),
        ("", ["x"], 0, 0),
        ("", ["the"], 1, 0),  # the official script: nothing in common
        ("柏林市", ["柏林"], 0, 0),  # without spaces a word must be the same
        ("1237 年", ["1237年", "1237"], 0, 2 / 3),
    ],
)
def test_scores_are_squads(prediction, answers, match, f1):
    assert exact_match(prediction, answers) == match
    assert math.isclose(answer_f1(prediction, answers), f1)
