"""The metrics of translations and of labels, and the significance of a difference of two systems.

A metric is an entry of :data:`METRICS`. sacreBLEU (Post, 2018) computes the scores of translations
and resamples all, and each score comes with its signature.
"""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar, Required, TypedDict

import sacrebleu.metrics.base
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Signature
from sacrebleu.significance import PairedTest

from ...errors import UserError, one_line
from ..languages import WITHOUT_SPACES, base_language
from ..moses import moses
from .label_metrics import F1, MCC, Accuracy, AnswerF1, EntityF1, ExactMatch, Pearson, Spearman

TOKENIZERS = list(BLEU.TOKENIZERS)
TOKENIZER_OF = {"ja": "ja-mecab", "ko": "ko-mecab", "zh": "zh"}  # 13a for all others
BOOTSTRAP_SAMPLES = 1000
BOOTSTRAP_SEED = 12345
# n sentences have C(2n − 1, n) different resamples: 6 sentences have fewer than are drawn
FEWEST_SENTENCES = 7
# raised by sacreBLEU if a tokeniser's package is missing or its model cannot be downloaded
TOKENIZER_FAILURES = (RuntimeError, ImportError, OSError)


@dataclass(frozen=True)
class Text:
    """Translations: the properties of their text that metrics depend on."""

    WHAT: ClassVar[str] = "translations"
    lang: str
    lowercase: bool  # whether the text is lower-cased; the signatures record it
    tokenizer: str  # BLEU's, by its name in sacreBLEU


@dataclass(frozen=True)
class Classes:
    """Predicted classes. Of two, the second is the positive one."""

    WHAT: ClassVar[str] = "classes"
    words: tuple[str, ...]  # their names


@dataclass(frozen=True)
class Numbers:
    """Predicted numbers."""

    WHAT: ClassVar[str] = "numbers"


@dataclass(frozen=True)
class Tags:
    """Predicted tags of words: O, or B- or I- and a type of entity."""

    WHAT: ClassVar[str] = "tags"
    words: tuple[str, ...]  # their names


@dataclass(frozen=True)
class Answers:
    """Predicted answers to questions; a reference is a JSON list of the right ones."""

    WHAT: ClassVar[str] = "answers"


Kind = Text | Classes | Numbers | Tags | Answers  # of what is scored


class Measure:
    """How scores are shown, whoever has computed them."""

    name: str
    higher_is_better: bool
    decimals: int  # in a table; one more beside published numbers or for several data sets
    scale: str  # empty if it is not known
    names_data: bool  # whether its signature has properties of the data, which differ in them

    @property
    def axis(self) -> str:
        """The label of an axis of a picture."""
        return f"{self.name} ({self.scale})" if self.scale else self.name

    @property
    def heading(self) -> str:
        """The heading of a column of a table."""
        return self.name if self.higher_is_better else f"{self.name} ↓"


@dataclass(frozen=True)
class OtherMeasure(Measure):
    """A metric that another program has computed, such as COMET."""

    name: str
    higher_is_better: bool
    decimals: ClassVar[int] = 3  # COMET's scores are from 0 to 1
    scale: ClassVar[str] = ""
    names_data: ClassVar[bool] = False


@dataclass(frozen=True)
class Metric(Measure):
    """A metric: its name, how it is shown, and how it is computed."""

    name: str
    what: str
    build: Callable[[Any, list[list[str]]], sacrebleu.metrics.base.Metric]  # from references
    of: type[Kind] = Text
    number_of_classes: int | None = None  # that it needs; None for any
    tokenize: Callable[[Text], Callable[[str], str]] | None = None  # hypotheses and references
    tokens: Callable[[Text], str] | None = None  # the name of these tokens in the signature
    higher_is_better: bool = True
    decimals: int = 1
    scale: str = "0–100"

    @property
    def names_data(self) -> bool:
        return self.of is not Text

    def obstacle(self, kind: Kind) -> str:
        """Why it cannot score a kind of output; empty if it can."""
        if not isinstance(kind, self.of):
            return f"{self.name} is a metric of {self.of.WHAT}, not of {kind.WHAT}"
        if self.number_of_classes not in (None, len(getattr(kind, "words", ()))):
            return f"{self.name} needs {self.number_of_classes} classes, not {len(kind.words)}"
        return ""


def bleu(text: Text, references: list[list[str]]) -> BLEU:
    try:
        return BLEU(tokenize=text.tokenizer, lowercase=text.lowercase, references=references)
    except TOKENIZER_FAILURES as error:
        raise UserError(f"--tokenize {text.tokenizer}: {error}") from error


def ter(text: Text, references: list[list[str]]) -> TER:
    # without spaces a word would be a whole clause, so tercom counts characters
    characters = base_language(text.lang) in WITHOUT_SPACES
    return TER(normalized=characters, asian_support=characters, references=references)


def moses_tokens(text: Text) -> Callable[[str], str]:
    tokenizer = moses(text.lang)
    return lambda line: tokenizer.tokenize(line, escape=False, return_str=True)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("BLEU", "sacreBLEU's BLEU on detokenised text (Post, 2018)", bleu),
        Metric(
            "chrF",
            "F-score of character 1- to 6-grams, recall weighs double (Popović, 2015)",
            lambda text, references: CHRF(lowercase=text.lowercase, references=references),
        ),
        Metric(
            "chrF++",
            "chrF with word 1- and 2-grams (Popović, 2017)",
            lambda text, references: CHRF(
                word_order=2, lowercase=text.lowercase, references=references
            ),
        ),
        Metric(
            "TER",
            "edits per 100 reference words, lower is better (Snover et al., 2006)",
            ter,
            higher_is_better=False,
            scale="edits per 100 words",
        ),
        Metric(
            "tokenised-BLEU",
            "BLEU on Moses tokens, to compare with papers that report it, never with other BLEU",
            lambda text, references: BLEU(
                tokenize="none", force=True, lowercase=text.lowercase, references=references
            ),
            tokenize=moses_tokens,
            tokens=lambda text: (
                f"moses:{base_language(text.lang)}-{metadata.version('sacremoses')}"
            ),
        ),
        Metric(
            "accuracy",
            "classes that are right",
            lambda classes, references: Accuracy(classes.words, references),
            of=Classes,
            scale="%",
        ),
        Metric(
            "F1",
            "F-score of the second of two classes",
            lambda classes, references: F1(classes.words, references),
            of=Classes,
            number_of_classes=2,
        ),
        Metric(
            "MCC",
            "Matthews' correlation coefficient of two classes (Matthews, 1975)",
            lambda classes, references: MCC(classes.words, references),
            of=Classes,
            number_of_classes=2,
            scale="× 100",
        ),
        Metric(
            "Pearson",
            "Pearson's correlation coefficient of numbers",
            lambda _, references: Pearson(references),
            of=Numbers,
            scale="× 100",
        ),
        Metric(
            "Spearman",
            "Spearman's correlation coefficient of numbers",
            lambda _, references: Spearman(references),
            of=Numbers,
            scale="× 100",
        ),
        Metric(
            "entity-F1",
            "F-score of the entities that tags mark, as seqeval computes it (Nakayama, 2018)",
            lambda tags, references: EntityF1(tags.words, references),
            of=Tags,
        ),
        Metric(
            "answer-F1",
            "F-score of an answer's words, that of SQuAD v1.1 (Rajpurkar et al., 2016)",
            lambda _, references: AnswerF1(references),
            of=Answers,
        ),
        Metric(
            "exact-match",
            "answers that are right, as in SQuAD v1.1 (Rajpurkar et al., 2016)",
            lambda _, references: ExactMatch(references),
            of=Answers,
            scale="%",
        ),
    )
}
DEFAULT_METRICS = ("BLEU", "chrF")


def add_metric_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that choose the metrics."""
    what = "; ".join(f"{metric.name}: {metric.what}" for metric in METRICS.values())
    parser.add_argument(
        "--metrics",
        nargs="+",
        choices=METRICS,
        default=[],
        help=f"metrics, the primary one first ({what}; default: {' '.join(DEFAULT_METRICS)} for "
        "translations, the data set's own for labels, or, in evaluate, those of the stored result)",
    )
    parser.add_argument(
        "--tokenize",
        choices=TOKENIZERS,
        help="sacreBLEU's tokeniser for BLEU (default: zh for Chinese, ja-mecab for Japanese, "
        "ko-mecab for Korean, 13a for other languages)",
    )


class Scorer:
    """A metric with the references of a test set."""

    def __init__(self, metric: Metric, kind: Kind, references: Sequence[str]) -> None:
        """
        Args:
            kind: of output, which the metric can score
            references: one per sentence
        Raises:
            UserError: BLEU's tokeniser is not available, or a reference is no label
        """
        self.name = metric.name
        self.tokenize = metric.tokenize(kind) if metric.tokenize else str
        self.metric = metric.build(kind, [[self.tokenize(line) for line in references]])
        self.tokens = f"|{metric.tokens(kind)}" if metric.tokens else ""

    @property
    def signature(self) -> str:
        return self.metric.get_signature().format() + self.tokens

    def score(self, hypotheses: Iterable[str]) -> float:
        return self.metric.corpus_score([self.tokenize(line) for line in hypotheses], None).score

    def bootstrap(self, hypotheses: Sequence[str], baseline_hypotheses: Sequence[str]) -> "Test":
        """Compare two systems by paired bootstrap resampling (Koehn, 2004)."""
        os.environ["SACREBLEU_SEED"] = str(BOOTSTRAP_SEED)  # PairedTest has no argument for it
        systems = {"baseline": baseline_hypotheses, "system": hypotheses}
        signatures, results = PairedTest(
            [(name, [self.tokenize(line) for line in lines]) for name, lines in systems.items()],
            {self.name: self.metric},
            references=None,
            test_type="bs",
            n_samples=BOOTSTRAP_SAMPLES,
        )()
        # PairedTest uses the metric's long name, such as chrF2 for chrF
        ((long_name, signature),) = signatures.items()
        theirs, ours = results[long_name]
        return {
            "p_value": 1.0 if ours.score == theirs.score else float(ours.p_value),
            "system": {"mean": float(ours.mean), "ci": float(ours.ci)},
            "baseline": {"mean": float(theirs.mean), "ci": float(theirs.ci)},
            "signature": self.signature_of_test(signature),
        }

    def signature_of_test(self, signature: Signature) -> str:
        """The signature of a test, from sacreBLEU's."""
        return signature.format() + self.tokens


class Test(TypedDict, total=False):
    """The test of a difference in one metric, see :func:`compare`."""

    p_value: Required[float | None]
    why_none: str  # the only other field if there is no p-value
    system: dict[str, float]  # mean and ci, in points of the metric
    baseline: dict[str, float]
    signature: str


def build_scorers(names: Iterable[str], kind: Kind, references: Sequence[str]) -> dict[str, Scorer]:
    """Build scorers by the names of their metrics, with the references, one per sentence.

    Raises:
        UserError: a metric is not of this kind of output, BLEU's tokeniser is not available, or a
            reference is no label
    """
    names = list(dict.fromkeys(names))
    for name in names:
        if obstacle := METRICS[name].obstacle(kind):
            possible = [each.name for each in METRICS.values() if not each.obstacle(kind)]
            raise UserError(f"--metrics {name}: {obstacle}: choose from {', '.join(possible)}")
    return {name: Scorer(METRICS[name], kind, references) for name in names}


def signatures_of(scorers: dict[str, Scorer]) -> dict[str, str]:
    return {name: scorer.signature for name, scorer in scorers.items()}


def scores_of(scorers: dict[str, Scorer], hypotheses: Sequence[str]) -> dict[str, float]:
    """The corpus score in each metric, on the metric's own scale."""
    return {name: scorer.score(hypotheses) for name, scorer in scorers.items()}


def compare(
    hypotheses: list[str], baseline_hypotheses: list[str], scorers: dict[str, Scorer]
) -> dict[str, Test]:
    """Test the difference from a baseline by paired bootstrap resampling (Koehn, 2004).

    Returns for each metric the p-value and, for both systems, the mean of the resampled scores and
    half the width of their 95 % confidence interval. Equal scores get p = 1: for identical texts
    sacreBLEU finds no resample with a larger difference, and reports a small p. Different
    outputs for fewer than :data:`FEWEST_SENTENCES` sentences get no p-value.
    """
    number = len(hypotheses)
    if number < FEWEST_SENTENCES and hypotheses != baseline_hypotheses:
        sentences = "sentence is" if number == 1 else "sentences are"
        why_none = f"{number} {sentences} too few to resample: {FEWEST_SENTENCES} are needed"
        return {name: {"p_value": None, "why_none": why_none} for name in scorers}
    return {
        name: scorer.bootstrap(hypotheses, baseline_hypotheses) for name, scorer in scorers.items()
    }


# BLEU's tokeniser


def default_tokenizer(lang: str) -> str:
    """sacreBLEU's tokeniser for a language code of any form, such as ja, JA or jpn."""
    return TOKENIZER_OF.get(base_language(lang), "13a")


def tokenizer_obstacle(tokenizer: str) -> str:
    """Why a tokeniser of sacreBLEU is not available; empty if it is."""
    try:
        BLEU(tokenize=tokenizer)
    except TOKENIZER_FAILURES as error:
        return one_line(str(error))
    return ""


def tokenizer_advice(lang: str) -> str:
    """Advice on BLEU for a target language before a model is trained; empty for most."""
    tokenizer = default_tokenizer(lang)
    if obstacle := tokenizer_obstacle(tokenizer):
        return (
            f"BLEU for {lang} needs the tokeniser {tokenizer}, which is not available: {obstacle} "
            "Or evaluate with --tokenize char"
        )
    if tokenizer == "13a" and base_language(lang) in WITHOUT_SPACES:
        return (
            f"BLEU for {lang}, which is written without spaces, says little with sacreBLEU's "
            "tokeniser 13a: evaluate with --tokenize char or flores200"
        )
    return ""
