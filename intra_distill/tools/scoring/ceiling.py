"""The best score a model can reach: its pieces spell normalised text, the references are raw."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from .metrics import (
    DEFAULT_METRICS,
    Text,
    build_scorers,
    default_tokenizer,
    scores_of,
    signatures_of,
    tokenizer_obstacle,
)

ROUNDING = 0.005  # half of the last digit of a printed score: a smaller loss is invisible


@dataclass(frozen=True)
class Ceiling:
    """The score of the references after encoding and decoding, where this changes them."""

    scores: dict[str, float]  # by metric
    signatures: dict[str, str]
    lines: int
    changed: int  # how many lines encoding and decoding change, white space aside
    first_changed: int  # number of the first such line, from 1
    reference: str  # this line
    pieces_say: str  # this line, encoded and decoded

    def __str__(self) -> str:
        scores = " and ".join(f"{score:.2f} {name}" for name, score in self.scores.items())
        before, after = first_change(self.reference, self.pieces_say)
        return (
            f"a model without any error would score {scores}: the pieces change {self.changed} of "
            f"{self.lines} references, first line {self.first_changed}, {before} to {after}"
        )


def measure_ceiling(
    references: Sequence[str], said: Sequence[str], lang: str, lowercase: bool
) -> Ceiling | None:
    """Score the references as the pieces spell them; None if that costs no points.

    Args:
        references: one per sentence
        said: the same sentences, encoded and decoded
        lang: their language, which selects BLEU's tokeniser; if that is not installed, BLEU is
            computed on characters
        lowercase: whether the text is lower-cased
    """
    changed = [
        number
        for number, (reference, text) in enumerate(zip(references, said, strict=True))
        if reference.split() != text.split()
    ]
    if not changed:
        return None
    tokenizer = default_tokenizer(lang)
    if tokenizer_obstacle(tokenizer):
        tokenizer = "char"
    scorers = build_scorers(DEFAULT_METRICS, Text(lang, lowercase, tokenizer), references)
    scores, perfect = scores_of(scorers, said), scores_of(scorers, references)
    if all(scores[name] > perfect[name] - ROUNDING for name in scorers):
        return None
    first = changed[0]
    return Ceiling(
        scores=scores,
        signatures=signatures_of(scorers),
        lines=len(references),
        changed=len(changed),
        first_changed=first + 1,
        reference=references[first],
        pieces_say=said[first],
    )


def first_change(before: str, after: str) -> tuple[str, str]:
    """Find the first characters of a line that changed, before and after, as code points."""
    start = len(os.path.commonprefix([before, after]))
    before, after = before[start : start + 50], after[start : start + 50]
    _, _, before_end, _, after_end = next(
        change
        for change in SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if change[0] != "equal"
    )
    return code_points(before[:before_end]), code_points(after[:after_end])


def code_points(text: str) -> str:
    if text == "<unk>":
        return text
    return " ".join(f"U+{ord(char):04X}" for char in text) or "nothing"
