"""The metrics of translation, by name, and how two systems are compared in them.

A metric is an entry of :data:`METRICS`. What scores text is sacreBLEU (Post, 2018), and a score
never travels without its signature.
"""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Required, TypedDict

import sacrebleu.metrics.base
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest
from sacremoses import MosesTokenizer

from ...errors import UserError, one_line
from ..languages import WITHOUT_SPACES, base_language

TOKENIZERS = list(BLEU.TOKENIZERS)
TOKENIZER_OF = {"ja": "ja-mecab", "ko": "ko-mecab", "zh": "zh"}  # of the others, 13a
BOOTSTRAP_SAMPLES = 1000
BOOTSTRAP_SEED = 12345
# of n sentences there are C(2n − 1, n) different resamples: of 6 fewer than are drawn
FEWEST_SENTENCES = 7
# how sacreBLEU fails where a tokeniser's package is missing, or its model cannot be fetched
TOKENIZER_FAILURES = (RuntimeError, ImportError, OSError)


@dataclass(frozen=True)
class Text:
    """What a metric has to know of the text that it scores."""

    lang: str
    lowercase: bool  # the text is lower-cased, and the signatures say so
    tokenizer: str  # of BLEU, as sacreBLEU calls it


@dataclass(frozen=True)
class Metric:
    """A metric: how it is called and shown, and what scores with it."""

    name: str
    what: str
    build: Callable[[Text, list[list[str]]], sacrebleu.metrics.base.Metric]  # with the references
    tokenize: Callable[[Text], Callable[[str], str]] | None = None  # hypotheses and references
    tokens: Callable[[Text], str] | None = None  # what the signature says of these tokens
    higher_is_better: bool = True
    decimals: int = 1  # in a table; beside published numbers, and over data sets, one more
    scale: str = "0–100"

    @property
    def axis(self) -> str:
        """What an axis of a picture says."""
        return f"{self.name} ({self.scale})"

    @property
    def heading(self) -> str:
        """What a column of a table says."""
        return self.name if self.higher_is_better else f"{self.name} ↓"


def bleu(text: Text, references: list[list[str]]) -> BLEU:
    try:
        return BLEU(tokenize=text.tokenizer, lowercase=text.lowercase, references=references)
    except TOKENIZER_FAILURES as error:
        raise UserError(f"--tokenize {text.tokenizer}: {error}") from error


def ter(text: Text, references: list[list[str]]) -> TER:
    # without spaces a word is a whole clause: tercom then takes characters
    characters = base_language(text.lang) in WITHOUT_SPACES
    return TER(normalized=characters, asian_support=characters, references=references)


def moses_tokens(text: Text) -> Callable[[str], str]:
    tokenizer = MosesTokenizer(base_language(text.lang))
    return lambda line: tokenizer.tokenize(line, escape=False, return_str=True)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("BLEU", "sacreBLEU's BLEU on detokenised text (Post, 2018)", bleu),
        Metric(
            "chrF",
            "character 6-grams, recall twice as heavy (Popović, 2015)",
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
            "edits per 100 words of the reference, lower is better (Snover et al., 2006)",
            ter,
            higher_is_better=False,
            scale="edits per 100 words",
        ),
        Metric(
            "tokenised-BLEU",
            "BLEU on Moses tokens, to stand beside papers that print it; no other BLEU compares",
            lambda text, references: BLEU(
                tokenize="none", force=True, lowercase=text.lowercase, references=references
            ),
            tokenize=moses_tokens,
            tokens=lambda text: (
                f"moses:{base_language(text.lang)}-{metadata.version('sacremoses')}"
            ),
        ),
    )
}
DEFAULT_METRICS = ("BLEU", "chrF")


def add_metric_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of what is scored."""
    what = "; ".join(f"{metric.name}: {metric.what}" for metric in METRICS.values())
    parser.add_argument(
        "--metrics",
        nargs="+",
        choices=METRICS,
        default=[],
        help=f"what to score, the primary metric first ({what}; default: "
        f"{' '.join(DEFAULT_METRICS)}, or those of an earlier evaluation)",
    )
    parser.add_argument(
        "--tokenize",
        choices=TOKENIZERS,
        help="sacreBLEU's tokeniser for BLEU (default: zh for Chinese, ja-mecab for Japanese, "
        "ko-mecab for Korean, 13a for other languages)",
    )


class Scorer:
    """A metric that holds the references of a test set."""

    def __init__(self, metric: Metric, text: Text, references: Sequence[str]) -> None:
        """
        Args:
            references: one a sentence
        Raises:
            UserError: BLEU's tokeniser is not available
        """
        self.name = metric.name
        self.tokenize = metric.tokenize(text) if metric.tokenize else str
        self.metric = metric.build(text, [[self.tokenize(line) for line in references]])
        self.tokens = f"|{metric.tokens(text)}" if metric.tokens else ""

    @property
    def signature(self) -> str:
        return self.metric.get_signature().format() + self.tokens

    def score(self, hypotheses: Iterable[str]) -> float:
        return self.metric.corpus_score([self.tokenize(line) for line in hypotheses], None).score

    def bootstrap(self, hypotheses: Sequence[str], baseline_hypotheses: Sequence[str]) -> "Test":
        """Resample the sentences of two systems in pairs (Koehn, 2004)."""
        os.environ["SACREBLEU_SEED"] = str(BOOTSTRAP_SEED)  # PairedTest has no argument for it
        systems = {"baseline": baseline_hypotheses, "system": hypotheses}
        signatures, results = PairedTest(
            [(name, [self.tokenize(line) for line in lines]) for name, lines in systems.items()],
            {self.name: self.metric},
            references=None,
            test_type="bs",
            n_samples=BOOTSTRAP_SAMPLES,
        )()
        # in what it returns chrF is called chrF2, after its β
        ((long_name, signature),) = signatures.items()
        theirs, ours = results[long_name]
        return {
            "p_value": 1.0 if ours.score == theirs.score else float(ours.p_value),
            "system": {"mean": float(ours.mean), "ci": float(ours.ci)},
            "baseline": {"mean": float(theirs.mean), "ci": float(theirs.ci)},
            "signature": signature.format() + self.tokens,
        }


class Test(TypedDict, total=False):
    """Of the difference in a metric, see :func:`compare`."""

    p_value: Required[float | None]
    why_none: str  # where there is no p-value, and nothing else
    system: dict[str, float]  # mean and ci
    baseline: dict[str, float]
    signature: str


def build_scorers(names: Iterable[str], text: Text, references: Sequence[str]) -> dict[str, Scorer]:
    """The metrics of these names, holding the references, one a sentence.

    Raises:
        UserError: BLEU's tokeniser is not available
    """
    return {name: Scorer(METRICS[name], text, references) for name in names}


def signatures_of(scorers: dict[str, Scorer]) -> dict[str, str]:
    return {name: scorer.signature for name, scorer in scorers.items()}


def scores_of(scorers: dict[str, Scorer], hypotheses: Sequence[str]) -> dict[str, float]:
    """The score in each metric, on its own scale."""
    return {name: scorer.score(hypotheses) for name, scorer in scorers.items()}


def compare(
    hypotheses: list[str], baseline_hypotheses: list[str], scorers: dict[str, Scorer]
) -> dict[str, Test]:
    """Test the difference to a baseline by paired bootstrap resampling (Koehn, 2004).

    Returns for each metric the p-value, and of both systems the mean of the resamples and half
    the width of their 95 % confidence interval. Where the scores are equal, p is 1: sacreBLEU
    counts the resamples that differ by more, and finds none. Of different translations of fewer
    than :data:`FEWEST_SENTENCES` sentences resampling says nothing, and there is no p-value.
    """
    number = len(hypotheses)
    if number < FEWEST_SENTENCES and hypotheses != baseline_hypotheses:
        sentences = "sentence is" if number == 1 else "sentences are"
        why_none = f"{number} {sentences} too few to resample: it takes {FEWEST_SENTENCES}"
        return {name: {"p_value": None, "why_none": why_none} for name in scorers}
    return {
        name: scorer.bootstrap(hypotheses, baseline_hypotheses) for name, scorer in scorers.items()
    }


# BLEU's tokeniser


def default_tokenizer(lang: str) -> str:
    """The tokeniser that sacreBLEU has for a language, by whatever name it goes."""
    return TOKENIZER_OF.get(base_language(lang), "13a")


def tokenizer_obstacle(tokenizer: str) -> str:
    """Why sacreBLEU cannot tokenise so here; empty where it can."""
    try:
        BLEU(tokenize=tokenizer)
    except TOKENIZER_FAILURES as error:
        return one_line(str(error))
    return ""


def tokenizer_advice(lang: str) -> str:
    """What to know of BLEU in a language before a model is trained for it; empty for most."""
    tokenizer = default_tokenizer(lang)
    if obstacle := tokenizer_obstacle(tokenizer):
        return (
            f"BLEU of {lang} takes the tokeniser {tokenizer}, which intra-distill evaluate will "
            f"not find: {obstacle} Or evaluate with --tokenize char"
        )
    if tokenizer == "13a" and base_language(lang) in WITHOUT_SPACES:
        return (
            f"BLEU of {lang}, which is written without spaces, says little with sacreBLEU's "
            "tokeniser 13a: evaluate with --tokenize char or flores200"
        )
    return ""
