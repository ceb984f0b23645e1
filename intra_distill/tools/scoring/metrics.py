"""The metrics of a translation: BLEU and chrF, and how two systems are compared in them."""

import os
from collections.abc import Sequence
from typing import Required, TypedDict

from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest

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


class Test(TypedDict, total=False):
    """Of the difference in a metric, see :func:`compare`."""

    p_value: Required[float | None]
    why_none: str  # where there is no p-value, and nothing else
    system: dict[str, float]  # mean and ci
    baseline: dict[str, float]
    signature: str


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


def build_metrics(references: list[str], tokenizer: str, lowercase: bool) -> dict[str, Metric]:
    """BLEU and chrF, holding the references.

    Args:
        references: one a sentence
        tokenizer: of BLEU, as sacreBLEU calls it
        lowercase: the text is lower-cased, and the signatures say so
    Raises:
        UserError: the tokeniser cannot be had
    """
    try:
        bleu = BLEU(tokenize=tokenizer, lowercase=lowercase, references=[references])
    except TOKENIZER_FAILURES as error:
        raise UserError(f"--tokenize {tokenizer}: {error}") from error
    return {"BLEU": bleu, "chrF": CHRF(lowercase=lowercase, references=[references])}


def signatures_of(metrics: dict[str, Metric]) -> dict[str, str]:
    return {name: metric.get_signature().format() for name, metric in metrics.items()}


def scores_of(metrics: dict[str, Metric], hypotheses: Sequence[str]) -> dict[str, float]:
    """The score in each metric, 0 to 100."""
    return {name: metric.corpus_score(hypotheses, None).score for name, metric in metrics.items()}


def compare(
    hypotheses: list[str], baseline_hypotheses: list[str], metrics: dict[str, Metric]
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
        return {name: {"p_value": None, "why_none": why_none} for name in metrics}
    os.environ["SACREBLEU_SEED"] = str(BOOTSTRAP_SEED)  # PairedTest has no argument for it
    signatures, results = PairedTest(
        [("baseline", baseline_hypotheses), ("system", hypotheses)],
        metrics,
        references=None,
        test_type="bs",
        n_samples=BOOTSTRAP_SAMPLES,
    )()
    # sacreBLEU calls chrF chrF2, after its beta, in what it returns
    names = dict(zip(metrics, signatures, strict=True))
    tests: dict[str, Test] = {}
    for name, long_name in names.items():
        theirs, ours = results[long_name]
        tests[name] = {
            "p_value": 1.0 if ours.score == theirs.score else float(ours.p_value),
            "system": {"mean": float(ours.mean), "ci": float(ours.ci)},
            "baseline": {"mean": float(theirs.mean), "ci": float(theirs.ci)},
            "signature": signatures[long_name].format(),
        }
    return tests
