"""Scores that say what they mean: what decides them, and when a difference is one."""

import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from sacremoses import MosesTokenizer

from intra_distill.errors import UserError
from intra_distill.tools.scoring import metrics
from intra_distill.tools.scoring.metrics import (
    DEFAULT_METRICS,
    METRICS,
    Scorer,
    Text,
    build_scorers,
    compare,
    default_tokenizer,
    scores_of,
    signatures_of,
    tokenizer_advice,
)

REFERENCES = [
    f"The {animal} sleeps here today." for animal in "cat dog cow hen fox pig".split()
] * 5
WORSE = [line.replace("today", "tonight") if n % 3 else line for n, line in enumerate(REFERENCES)]


def scorers_of(
    references: list[str],
    lang: str = "en",
    lowercase: bool = False,
    tokenizer: str = "13a",
    names: Iterable[str] = DEFAULT_METRICS,
) -> dict[str, Scorer]:
    return build_scorers(names, Text(lang, lowercase, tokenizer), references)


# Each metric


def sacrebleu(folder: Path, references: list[str], hypotheses: list[str], options: str) -> str:
    """What sacreBLEU's own command prints."""
    for name, lines in {"ref": references, "hyp": hypotheses}.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", folder / "ref", "-i", folder / "hyp"]
    options = f"{options} --width 6 --format text".split()
    return subprocess.check_output([*command, *options], text=True)


OF_SACREBLEU = {  # what its command calls a metric, the options for it, what its signature says
    "BLEU": ("BLEU", "-m bleu", "|tok:13a|"),
    "chrF": ("chrF2", "-m chrf", "|nc:6|nw:0|"),
    "chrF++": ("chrF2++", "-m chrf --chrf-word-order 2", "|nc:6|nw:2|"),
    "TER": ("TER", "-m ter", "|case:lc|tok:tercom|norm:no|punct:yes|asian:no|"),
    "tokenised-BLEU": ("BLEU", "-m bleu --tokenize none --force", "|tok:none|"),
}


@pytest.mark.parametrize("lowercase", [False, True], ids=["cased", "lower-cased"])
@pytest.mark.parametrize("name", OF_SACREBLEU)
def test_a_score_is_that_of_sacrebleus_command(name, lowercase, tmp_path):
    """Of cased text, in the options that the signature names."""
    long_name, options, says = OF_SACREBLEU[name]
    references = [line.replace(" sleeps", '\'s "R&D" (sleeps)') for line in REFERENCES]
    hypotheses = [line.replace("y today.", "y, today!") for line in references[::-1]]
    theirs = [references, hypotheses]
    if lowercase:
        options += " --lowercase --chrf-lowercase"
        references, hypotheses = ([line.lower() for line in text] for text in theirs)
    scorer = scorers_of(references, lowercase=lowercase, names=[name])[name]
    score, signature = scorer.score(hypotheses), scorer.signature
    assert says in signature and 0 < score < 100
    if name == "tokenised-BLEU":
        moses = MosesTokenizer("en")
        theirs = [
            [moses.tokenize(line, escape=False, return_str=True) for line in text]
            for text in theirs
        ]
        signature, _, tokens = signature.rpartition("|")
        assert tokens == f"moses:en-{metadata.version('sacremoses')}"
    printed = sacrebleu(tmp_path, *theirs, options)
    assert f"{long_name}|{signature} = {score:.6f}" in printed


def test_a_lower_cased_score_is_blind_to_case():
    lowered = [line.lower() for line in REFERENCES]
    assert scores_of(scorers_of(REFERENCES), lowered)["BLEU"] < 100
    perfect = scores_of(scorers_of(lowered, lowercase=True), lowered)
    assert perfect == pytest.approx({"BLEU": 100, "chrF": 100})


def test_ter_counts_edits():
    scorer = scorers_of(REFERENCES, names=["TER"])["TER"]
    assert scorer.score(REFERENCES) == 0
    one_edit = [REFERENCES[0].replace("here", "there"), *REFERENCES[1:]]
    assert scorer.score(one_edit) == pytest.approx(100 / sum(len(x.split()) for x in REFERENCES))
    assert METRICS["TER"].heading == "TER ↓" and METRICS["BLEU"].heading == "BLEU"


def test_ter_of_text_without_spaces_is_of_characters(tmp_path):
    references, hypotheses = ["今天天气怎么样？"] * 8, ["今天天气怎样？"] * 8
    scorer = scorers_of(references, lang="zh_CN", names=["TER"])["TER"]
    assert scorer.score(hypotheses) == pytest.approx(100 / 8)
    options = "-m ter --ter-normalized --ter-asian-support"
    printed = sacrebleu(tmp_path, references, hypotheses, options)
    assert f"TER|{scorer.signature} = {100 / 8:.6f}" in printed


# The difference of two systems


@pytest.mark.parametrize("hypotheses", [WORSE, REFERENCES, [""] * 30], ids=["w", "perfect", "none"])
def test_the_same_translations_do_not_differ(hypotheses):
    tests = compare(hypotheses, list(hypotheses), scorers_of(REFERENCES, names=OF_SACREBLEU))
    assert {name: test["p_value"] for name, test in tests.items()} == dict.fromkeys(OF_SACREBLEU, 1)


def test_different_translations_of_equal_score_do_not_differ():
    scorers = scorers_of(REFERENCES)
    tests = compare(["qq"] * 30, ["zz"] * 30, scorers)
    assert scores_of(scorers, ["qq"] * 30)["chrF"] == scores_of(scorers, ["zz"] * 30)["chrF"] == 0
    assert tests["chrF"]["p_value"] == 1


def test_a_large_difference_is_significant():
    scorers = scorers_of(REFERENCES, names=OF_SACREBLEU)
    tests = compare(REFERENCES, WORSE, scorers)
    assert all(test["p_value"] < 0.05 for test in tests.values())
    # of equal length, the resamples' signature adds how many there are and their seed
    for name, signature in signatures_of(scorers).items():
        assert tests[name]["signature"].replace("|bs:1000|seed:12345", "") == signature


@pytest.mark.parametrize("number", [1, 2, 6, 7])
def test_of_few_sentences_resampling_says_nothing(number):
    scorers = scorers_of(REFERENCES[:number])
    tests = compare(REFERENCES[:number], ["The dog sleeps."] * number, scorers)
    for test in tests.values():
        if number < 7:
            assert test["p_value"] is None
            assert test["why_none"].startswith(f"{number} sentence")
        else:
            assert 0 < test["p_value"] <= 1
    same = compare(WORSE[:number], WORSE[:number], scorers)
    assert all(test["p_value"] == 1 for test in same.values())


# BLEU's tokeniser


@pytest.mark.parametrize("lang", ["zh", "zh_CN", "zh_TW", "ZH", "zho_Hans", "cmn"])
def test_chinese_is_tokenised_as_chinese_by_any_name(lang):
    references = ["你好，世界！", "今天天气怎么样？"] * 4
    scorers = scorers_of(references, lang, tokenizer=default_tokenizer(lang))
    assert "|tok:zh|" in signatures_of(scorers)["BLEU"]
    assert scores_of(scorers, [line.replace("！", "。") for line in references])["BLEU"] > 70


def test_tokenisers_by_language():
    names = {"jpn": "ja-mecab", "ja_JP": "ja-mecab", "kor": "ko-mecab", "en": "13a", "xx": "13a"}
    assert {lang: default_tokenizer(lang) for lang in names} == names


def test_a_tokeniser_that_cannot_be_had_is_refused(monkeypatch):
    def not_installed(**_):
        raise RuntimeError("\nJapanese tokenization requires extra dependencies\n")

    monkeypatch.setattr(metrics, "BLEU", not_installed)
    with pytest.raises(UserError, match="--tokenize ja-mecab: Japanese tokenization requires"):
        scorers_of(REFERENCES, tokenizer="ja-mecab")
    advice = tokenizer_advice("jpn")
    assert "needs the tokeniser ja-mecab" in advice and "--tokenize char" in advice


def test_what_to_know_of_a_language():
    assert tokenizer_advice("en") == tokenizer_advice("zh_CN") == ""
    assert "th_TH, which is written without spaces" in tokenizer_advice("th_TH")
