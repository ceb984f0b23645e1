"""Metrics of predicted labels in the form of sacreBLEU's, for its signatures and paired bootstrap.

Each sentence has a few statistics whose sums over a corpus, or over a resample of it, make the
score. All scores are times 100.
"""

import json
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from sacrebleu.metrics.base import Metric, Score, Signature
from scipy.stats import rankdata

from ...core.agreement import accuracy, f1, matthews, pearson
from ...errors import UserError
from ..corpora.tagged_text import entities
from .answers import answer_f1, exact_match


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


class EntityF1(OfClasses):
    """F1 of entities: one is right if it begins and ends at the same words, and has the same type.

    F1 = 2 right / (predicted + gold), over all sentences and types.
    """

    def __init__(self, tags: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """
        Args:
            tags: their names
            references: the gold tags of each sentence, separated by spaces, as a list in a list
        """
        super().__init__(tags, references, entities="seqeval-default")

    def _refuse_unknown(self, what: str, sentences: Sequence[str]) -> None:
        for number, sentence in enumerate(sentences, start=1):
            super()._refuse_unknown(f"in {what} {number}, tag", sentence.split())

    def _extract_reference_info(self, refs: Sequence[str]) -> dict[str, Any]:
        tags = refs[0].split()
        return {"words": len(tags), "gold": entities(tags)}

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict) -> list[int]:
        """The numbers of right, predicted and gold entities."""
        tags, gold = hypothesis.split(), ref_kwargs["gold"]
        if len(tags) != ref_kwargs["words"]:
            raise UserError(
                f"a prediction has {len(tags)} tags, its reference {ref_kwargs['words']}"
            )
        predicted = entities(tags)
        return [len(predicted & gold), len(predicted), len(gold)]

    def of_sums(self, right: float, predicted: float, gold: float) -> float:
        return f1(right, predicted - right, gold - right)


class OfAnswers(LabelMetric):
    """A metric of answers: a mean over the questions of the agreement with the best gold answer."""

    agreement: ClassVar[Callable[[str, Sequence[str]], float]]

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        """
        Args:
            references: of each question a JSON list of the right answers, as a list in a list
        """
        super().__init__(gold_answers(references[0]), normalisation="SQuAD-v1.1-English")

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict) -> list[float]:
        return [type(self).agreement(hypothesis, ref_kwargs["gold"]), 1]

    def of_sums(self, agreement: float, total: float) -> float:
        return agreement / total


class AnswerF1(OfAnswers):
    """F1 of the words of an answer."""

    agreement = staticmethod(answer_f1)


class ExactMatch(OfAnswers):
    """The share of questions with a right answer."""

    agreement = staticmethod(exact_match)


def gold_answers(lines: Sequence[str]) -> list[list[str]]:
    """Parse the right answers, a JSON list a line; UserError for a line that is none."""
    answers = []
    for number, line in enumerate(lines, start=1):
        try:
            texts = json.loads(line)
        except (ValueError, RecursionError):
            texts = None
        if not (isinstance(texts, list) and texts and all(isinstance(t, str) for t in texts)):
            raise UserError(f"reference {number} is {line[:80]!r}, not a JSON list of answers")
        answers.append(texts)
    return answers


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
