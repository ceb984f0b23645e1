"""Scores that say what they mean: what decides them, and when a difference is one."""

import subprocess
import sys

import pytest

from intra_distill.errors import UserError
from intra_distill.tools.scoring import metrics
from intra_distill.tools.scoring.metrics import (
    build_metrics,
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


@pytest.mark.parametrize("hypotheses", [WORSE, REFERENCES, [""] * 30], ids=["w", "perfect", "none"])
def test_the_same_translations_do_not_differ(hypotheses):
    tests = compare(hypotheses, list(hypotheses), build_metrics(REFERENCES, "13a", False))
    assert {name: test["p_value"] for name, test in tests.items()} == {"BLEU": 1, "chrF": 1}


def test_different_translations_of_equal_score_do_not_differ():
    built = build_metrics(REFERENCES, "13a", False)
    tests = compare(["qq"] * 30, ["zz"] * 30, built)
    assert scores_of(built, ["qq"] * 30)["chrF"] == scores_of(built, ["zz"] * 30)["chrF"] == 0
    assert tests["chrF"]["p_value"] == 1


def test_a_large_difference_is_significant():
    tests = compare(REFERENCES, WORSE, build_metrics(REFERENCES, "13a", False))
    assert all(test["p_value"] < 0.05 for test in tests.values())


@pytest.mark.parametrize("number", [1, 2, 6, 7])
def test_of_few_sentences_resampling_says_nothing(number):
    built = build_metrics(REFERENCES[:number], "13a", False)
    tests = compare(REFERENCES[:number], ["The dog sleeps."] * number, built)
    for test in tests.values():
        if number < 7:
            assert test["p_value"] is None
            assert test["why_none"].startswith(f"{number} sentence")
        else:
            assert 0 < test["p_value"] <= 1
    same = compare(WORSE[:number], WORSE[:number], built)
    assert all(test["p_value"] == 1 for test in same.values())


def test_the_signature_reproduces_a_lower_cased_score(tmp_path):
    """Of cased references, by sacreBLEU's own command, in the options that the signature names."""
    lowered = [line.lower() for line in REFERENCES]
    built = build_metrics(lowered, "13a", lowercase=True)
    scores, signatures = scores_of(built, [line.lower() for line in WORSE]), signatures_of(built)
    assert all("|case:lc|" in signature for signature in signatures.values())
    for name, lines in {"ref": REFERENCES, "hyp": [line.lower() for line in WORSE]}.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    command = [sys.executable, "-m", "sacrebleu", tmp_path / "ref", "-i", tmp_path / "hyp"]
    options = "-m bleu chrf -lc --chrf-lowercase --width 6 --format text".split()
    printed = subprocess.check_output([*command, *options], text=True)
    for name, long_name in {"BLEU": "BLEU", "chrF": "chrF2"}.items():
        assert f"{long_name}|{signatures[name]} = {scores[name]:.6f}" in printed
    cased = scores_of(build_metrics(REFERENCES, "13a", lowercase=False), lowered)
    assert cased["BLEU"] < 100 == pytest.approx(scores_of(built, lowered)["BLEU"])


@pytest.mark.parametrize("lang", ["zh", "zh_CN", "zh_TW", "ZH", "zho_Hans", "cmn"])
def test_chinese_is_tokenised_as_chinese_by_any_name(lang):
    references = ["你好，世界！", "今天天气怎么样？"] * 4
    built = build_metrics(references, default_tokenizer(lang), False)
    assert "|tok:zh|" in signatures_of(built)["BLEU"]
    assert scores_of(built, [line.replace("！", "。") for line in references])["BLEU"] > 70


def test_tokenisers_by_language():
    names = {"jpn": "ja-mecab", "ja_JP": "ja-mecab", "kor": "ko-mecab", "en": "13a", "xx": "13a"}
    assert {lang: default_tokenizer(lang) for lang in names} == names


def test_a_tokeniser_that_cannot_be_had_is_refused(monkeypatch):
    def not_installed(**_):
        raise RuntimeError("\nJapanese tokenization requires extra dependencies\n")

    monkeypatch.setattr(metrics, "BLEU", not_installed)
    with pytest.raises(UserError, match="--tokenize ja-mecab: Japanese tokenization requires"):
        build_metrics(REFERENCES, "ja-mecab", False)
    advice = tokenizer_advice("jpn")
    assert "takes the tokeniser ja-mecab" in advice and "--tokenize char" in advice


def test_what_to_know_of_a_language():
    assert tokenizer_advice("en") == tokenizer_advice("zh_CN") == ""
    assert "th_TH, which is written without spaces" in tokenizer_advice("th_TH")
