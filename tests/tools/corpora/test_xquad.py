"""XQuAD, made up in its own layout."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.files import read_json
from intra_distill.tools.corpora import xquad
from intra_distill.tools.corpora.squad import read_squad, write_squad

from ...support.questions import berlin, write_xquad
from ...support.server import serve

THREE = ["ar", "en", "zh"]


@pytest.fixture
def make(tmp_path) -> Callable[..., Path]:
    def make(
        source: Path | str, *options: str, languages: str = "ar,en,zh", train: int = 3
    ) -> Path:
        articles = ["--train-articles", str(train), "--valid-articles", "1"]
        command = ["--source", str(source), "--languages", languages, *articles, *options]
        main(["xquad", "--destdir", str(tmp_path / "raw"), *command])
        return tmp_path / "raw"

    return make


@pytest.fixture
def refusal(make) -> Callable[..., str]:
    def refusal(*arguments, **options) -> str:
        with pytest.raises(SystemExit) as error:
            make(*arguments, **options)
        return error.value.code

    return refusal


def articles(path: Path) -> set[str]:
    return {question.title for question in read_squad(path)}


def test_no_test_question_is_on_an_article_of_the_other_sets(make, tmp_path, capsys):
    raw = make(write_xquad(tmp_path / "source", THREE))
    assert articles(raw / "train.json") == {"Article 0", "Article 1", "Article 2"}
    assert articles(raw / "valid.json") == {"Article 3"}
    for lang in THREE:
        assert articles(raw / f"test-{lang}.json") == {"Article 4", "Article 5"}
        expected = [each for n in (4, 5) for each in berlin(lang, f"q{n}", f"Article {n}")]
        assert read_squad(raw / f"test-{lang}.json") == expected
    assert "train: 6 questions\nvalid: 2 questions\ntest-ar: 4 questions" in capsys.readouterr().out
    report = read_json(raw / "raw.json")
    assert report["questions"] == dict(zip(report["questions"], [6, 2, 4, 4, 4]))
    assert (report["train_articles"], report["languages"]) == (3, "ar,en,zh")
    assert set(report["files"]) == {f"xquad.{lang}.json" for lang in THREE}


def test_the_order_of_another_language_does_not_matter(make, tmp_path):
    source = write_xquad(tmp_path / "source", THREE)
    write_squad(source / "xquad.ar.json", read_squad(source / "xquad.ar.json")[::-1])
    raw = make(source)
    assert articles(raw / "test-ar.json") == {"Article 4", "Article 5"}


def test_english_is_trained_on_but_tested_on_only_if_named(make, tmp_path):
    raw = make(write_xquad(tmp_path / "source", THREE), languages="zh")
    assert {path.name for path in raw.iterdir()} == {
        *("train.json", "valid.json", "test-zh.json", "raw.json")
    }


def test_another_split_is_refused(make, refusal, tmp_path):
    source = write_xquad(tmp_path / "source", THREE)
    make(source)
    make(source, languages="zh,en,ar,en")
    assert "made with train_articles 3, not 2" in refusal(source, train=2)
    assert "made with languages ar,en,zh, not ar" in refusal(source, languages="ar")


def test_a_language_with_other_articles_is_refused(refusal, tmp_path):
    source = write_xquad(tmp_path / "source", THREE)
    write_squad(source / "xquad.zh.json", berlin("zh", "q", "柏林"))
    said = refusal(source)
    assert "xquad.zh.json has other articles than" in said and "xquad.en.json" in said


def test_what_cannot_be_had_is_named(refusal, tmp_path):
    source = write_xquad(tmp_path / "source", ["ar", "en"])
    said = refusal(source)
    assert "holds no xquad.zh.json, which is at https://raw.githubusercontent.com/" in said
    said = refusal(source, languages="ar", train=5)
    assert "--train-articles 5 and --valid-articles 1 leave none of the 6 articles" in said
    assert "XQuAD has ar, de, el, en" in refusal(source, languages="ar,ro")
    assert not (tmp_path / "raw").exists()


def test_a_server_is_asked_for_what_is_needed(make, tmp_path, monkeypatch):
    source = write_xquad(tmp_path / "server", THREE)
    for lang in THREE:
        content = (source / f"xquad.{lang}.json").read_bytes()
        pin = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        monkeypatch.setitem(xquad.REMOTES, lang, replace(xquad.REMOTES[lang], **pin))
    with serve(source) as server:
        raw = make(server.url, languages="zh")
    assert sorted(path for path, _ in server.requests) == ["xquad.en.json", "xquad.zh.json"]
    assert read_squad(raw / "test-zh.json")


def test_all_files_are_pinned():
    assert all(remote.size and len(remote.sha256) == 64 for remote in xquad.REMOTES.values())
    assert [remote.name for remote in xquad.REMOTES.values()] == [
        f"xquad.{lang}.json" for lang in xquad.REMOTES
    ]
