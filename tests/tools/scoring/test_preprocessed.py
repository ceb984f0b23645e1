"""Data of fairseq-preprocess: evaluated with what the user says of its text."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.tools.scoring import evaluation, translations
from intra_distill.tools.scoring.evaluation import Evaluation
from intra_distill.tools.scoring.preprocessed import GivenText
from intra_distill.tools.scoring.results import Result, read_result
from intra_distill.tools.scoring.search import Hypothesis, Search, Translation


def evaluate(asked: Evaluation) -> Result:
    (result,) = evaluation.evaluate(asked)
    return result


@pytest.fixture
def asked(prepared, checkpoint, tmp_path) -> Evaluation:
    """The data without what ``prepare`` left beside fairseq's files."""
    files = [*prepared.glob("dict.*"), *prepared.glob("test.de-en.*")]
    data = tmp_path / "data-bin"
    data.mkdir()
    for file in files:
        shutil.copy(file, data)
    text = {"references": tmp_path / "some.en", "sources": tmp_path / "some.de"}
    for path, name in zip(text.values(), ("test.ref.en", "test.src.de"), strict=True):
        shutil.copy(prepared / name, path)
    given = GivenText("de", "en", post_process="sentencepiece", lowercase=True, **text)
    return Evaluation(data, checkpoint, tmp_path / "results", given_text=given)


def test_the_result_is_that_of_prepared_data(asked, base):
    result, expected = evaluate(asked), read_result(base)
    assert result == read_result(asked.results_path / "test.json")
    assert result.scores == expected.scores and result.signatures == expected.signatures
    assert result.output_sha256 == expected.output_sha256
    text = replace(expected.test_set.text, sentencepiece_text=None)
    assert result.test_set == replace(expected.test_set, data=str(asked.data), text=text)
    for name in ("test.src.de", "test.ref.en"):
        assert (base.parent / name).read_bytes() == (asked.results_path / name).read_bytes()


def test_it_is_compared_with_the_result_of_prepared_data(asked, base, monkeypatch, capsys):
    """Also by the table, which needs nothing but the folders of the results."""
    result = evaluate(replace(asked, baseline=base, name="new"))
    assert [test["p_value"] for test in result.significance["tests"].values()] == [1, 1]
    monkeypatch.setattr(translations, "translate", lambda *_: pytest.fail("translated"))
    assert evaluate(replace(asked, name="new")) == result
    shutil.rmtree(asked.data)
    main(["table", str(asked.results_path), str(base)])
    assert "| new |" in capsys.readouterr().out


def test_text_with_windows_line_ends_and_no_source(asked, base, tmp_path):
    references = asked.given_text.references
    references.write_bytes(references.read_bytes().replace(b"\n", b"\r\n"))
    given = replace(asked.given_text, sources=None)
    result = evaluate(replace(asked, given_text=given))
    assert result.scores == read_result(base).scores
    assert (result.test_set.text.source, result.test_set.text.source_sha256) == (None, None)
    assert not (asked.results_path / "test.src.de").exists()
    assert (asked.results_path / "test.ref.en").read_bytes() == references.read_bytes()


def test_tokens_become_text(asked, monkeypatch):
    tokens = "he said : &quot; isn &apos;t it well @-@ known ? &quot;"
    found = [[Hypothesis("-1", tokens), Hypothesis("-2", "a , b")]] * 19
    monkeypatch.setattr(
        translations, "translate", lambda _, n, grows: Translation([tokens] * n, 0, 0, found)
    )
    given = replace(asked.given_text, post_process="subword_nmt", detokenize=True)
    result = evaluate(replace(asked, given_text=given, search=Search(nbest=2)))
    text = 'he said: "isn\'t it well-known?"'
    assert (asked.results_path / "test.hyp.en").read_text() == f"{text}\n" * 19
    nbest = (asked.results_path / "test.nbest.en").read_text()
    assert nbest.startswith(f"0\t-1\t{text}\n0\t-2\ta, b\n1\t")
    assert result.test_set.text.detokenizer.startswith("sacremoses:")
    arguments = result.search.generator_arguments
    assert arguments[arguments.index("--post-process") + 1] == "subword_nmt"


def test_data_without_a_target_side(asked, base):
    for file in asked.data.glob("test.de-en.en.*"):
        file.unlink()
    assert evaluate(asked).output_sha256 == read_result(base).output_sha256


def test_the_source_of_the_other_direction(asked, base):
    for file in asked.data.glob("test.*"):
        file.rename(asked.data / file.name.replace("de-en", "en-de"))
    assert evaluate(asked).output_sha256 == read_result(base).output_sha256


def shorten(name: str):
    def spoil(asked: Evaluation) -> None:
        path = getattr(asked.given_text, name)
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))

    return spoil


def missing(pattern: str):
    return lambda asked: [file.unlink() for file in asked.data.glob(pattern)]


@pytest.mark.parametrize(
    "spoil, message",
    [
        (shorten("references"), "some.en has 18 lines for 19 sentences: give the text of the same"),
        (shorten("sources"), "some.de has 18 lines for 19 sentences: give the text of the same"),
        (missing("dict.en.txt"), "has no dict.en.txt: make it by fairseq-preprocess"),
        (missing("test.*"), "has no test.de-en.de.bin, the source of the subset 'test'"),
    ],
)
def test_what_does_not_fit_is_refused(spoil, message, asked, monkeypatch):
    monkeypatch.setattr(translations, "translate", lambda *_: pytest.fail("translated"))
    spoil(asked)
    with pytest.raises(UserError, match=message):
        evaluate(asked)


def test_text_of_several_subsets_is_refused(asked):
    with pytest.raises(UserError, match="--references is of one of the subsets test, test1: name"):
        evaluate(replace(asked, subsets=("test", "test1")))


def test_data_of_which_nothing_is_said_is_refused(asked):
    with pytest.raises(UserError, match=r"no prepare.json: .* fairseq-preprocess, .* --references"):
        evaluate(replace(asked, given_text=None))


def test_command(asked, base, capsys):
    given = asked.given_text
    command = f"""evaluate {asked.data} --path {asked.checkpoint} --results-path
        {asked.results_path} --source-lang de --target-lang en --references {given.references}
        --post-process sentencepiece --lowercase""".split()
    main(command)
    assert "comet-score" not in capsys.readouterr().out  # which needs the source
    assert read_result(asked.results_path / "test.json").scores == read_result(base).scores
    main([*command, "--sources", str(given.sources)])
    assert f"-s {Path(asked.results_path, 'test.src.de')} " in capsys.readouterr().out
