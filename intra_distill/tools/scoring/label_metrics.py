"""Metrics of predicted labels in the form of sacreBLEU's, for its signatures and paired bootstrap.

Each sentence has a few statistics whose sums over a corpus, or over a resample of it, make the
score. All scores are times 100.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.base import Metric, Score, Signature
from scipy.stats import rankdata

from ...core.agreement import accuracy, f1, matthews, pearson
from ...errors import UserError


class LabelSignature(Signature):
    """What a score depends on besides the predictions, such as the classes."""

    def __init__(self, args: dict[str, Any]) -> None:
        super().__init__(args)
        self.info = {**args["properties"], **self.info, "nrefs": None}


class LabelMetric(Metric):
    """A metric whose statistics of a sentence are computed from its prediction and gold label."""

    _SIGNATURE_TYPE = LabelSignature

    def __init__(self, gold: Sequence[Any], **properties: str) -> None:
        """
        Args:
            gold: the labels, one per sentence
            properties: for the signature
        """
        super().__init__()
        self._ref_cache = self._cache_references([gold])
        self.properties = {**properties, "sentences": len(gold)}

    @abstractmethod
    def of_sums(self, *sums: float) -> float:
        """The score, as a fraction, from the sums of the sentences' statistics."""

    def _preprocess_segment(self, sent: Any) -> Any:
        return sent

    def _extract_reference_info(self, refs: Sequence[Any]) -> dict[str, Any]:
        return {"gold": refs[0]}

    def _aggregate_and_compute(self, stats: list[list[float]]) -> Score:
        return self._compute_score_from_stats(np.sum(stats, axis=0, dtype=np.float64))

    def _compute_score_from_stats(self, stats: np.ndarray) -> Score:
        return Score(type(self).__name__, 100 * self.of_sums(*map(float, stats)))


class OfClasses(LabelMetric):
    """A metric of classes."""

    def __init__(
        self, classes: Sequence[str], references: Sequence[Sequence[str]], **properties: str
    ) -> None:
        """
        Args:
            classes: their names
            references: the gold classes, as a list in a list
            properties: for the signature
        """
        self.classes = frozenset(classes)
        self._refuse_unknown("reference", references[0])
        super().__init__(references[0], classes=",".join(classes), **properties)

    def _refuse_unknown(self, what: str, words: Sequence[str]) -> None:
        for number, word in enumerate(words, start=1):
            if word not in self.classes:
                raise UserError(
                    f"{what} {number} is {word!r}, none of the classes "
                    f"{', '.join(sorted(self.classes))}"
                )

    def _extract_corpus_statistics(
        self, hypotheses: Sequence[str], references: None
    ) -> list[list[int]]:
        self._refuse_unknown("prediction", hypotheses)
        return super()._extract_corpus_statistics(hypotheses, references)


class Accuracy(OfClasses):
    """The share of sentences whose class is predicted."""

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict) -> list[int]:
        return [hypothesis == ref_kwargs["gold"], 1]

    def of_sums(self, correct: float, total: float) -> float:
        return accuracy(correct, total)


class OfTwoClasses(OfClasses):
    """A metric of two classes, of which the second is the positive one."""

    def __init__(self, classes: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        _, self.positive = classes
        super().__init__(classes, references, positive=self.positive)

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict) -> list[int]:
        """1 for what the sentence is: a true positive, false positive, false or true negative."""
        predicted, gold = hypothesis == self.positive, ref_kwargs["gold"] == self.positive
        return [
            predicted and gold,
            predicted and not gold,
            gold and not predicted,
            not (predicted or gold),
        ]


class F1(OfTwoClasses):
    """F1 of the positive class."""

    def of_sums(self, tp: float, fp: float, fn: float, tn: float) -> float:
        return f1(tp, fp, fn)


class MCC(OfTwoClasses):
    """Matthews' correlation coefficient."""

    def of_sums(self, tp: float, fp: float, fn: float, tn: float) -> float:
        return matthews(tp, fp, fn, tn)


class Pearson(LabelMetric):
    """Pearson's correlation coefficient of numbers."""

    def __init__(self, references: Sequence[Sequence[str]], **properties: str) -> None:
        """
        Args:
            references: the gold numbers as text, as a list in a list
            properties: for the signature
        """
        super().__init__(self._values("reference", references[0]), **properties)

    def _values(self, what: str, lines: Sequence[str]) -> np.ndarray:
        """The values of a whole corpus that are correlated."""
        return standardised(numbers(what, lines))

    def _extract_corpus_statistics(
        self, hypotheses: Sequence[str], references: None
    ) -> list[list[float]]:
        return super()._extract_corpus_statistics(
            self._values("prediction", hypotheses), references
        )

    def _compute_segment_statistics(self, hypothesis: float, ref_kwargs: dict) -> list[float]:
        x, y = hypothesis, ref_kwargs["gold"]
        return [1, x, y, x * x, y * y, x * y]

    def of_sums(self, *sums: float) -> float:
        return pearson(*sums)


class Spearman(Pearson):
    """Spearman's correlation coefficient: Pearson's of the ranks, equal numbers share the mean.

    Resamples keep the ranks of the whole corpus, since ranks of a resample are no sums.
    """

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        super().__init__(references, ties="average")

    def _values(self, what: str, lines: Sequence[str]) -> np.ndarray:
        return standardised(rankdata(numbers(what, lines)))


def numbers(what: str, lines: Sequence[str]) -> np.ndarray:
    """Parse a number per line, (N,); UserError for what is none, or is NaN or infinite."""
    values = np.empty(len(lines))
    for number, line in enumerate(lines, start=1):
        try:
            values[number - 1] = float(line)
        except ValueError:
            values[number - 1] = np.nan
        if not np.isfinite(values[number - 1]):
            raise UserError(f"{what} {number} is {line!r}, not a finite number")
    return values


def standardised(values: np.ndarray) -> np.ndarray:
    """Move numbers to mean 0, and scale them to at most 1: what correlates stays the same.

    sacreBLEU adds up resamples in 32 bits, where the squares of other numbers lose their digits.
    """
    if values.min() == values.max():
        return np.zeros_like(values)
    scaled = values / np.abs(values).max()
    centred = scaled - scaled.mean()
    return centred / np.abs(centred).max()
