"""WikiAnn made up in its own layout, and as XTREME's script processes it."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.files import read_json
from intra_distill.tools.corpora import panx
from intra_distill.tools.corpora.tagged_text import entities, read_tagged

from ...support.archives import tgz, zipped
from ...support.files import contents
from ...support.kills import Killed, kill_before_rename
from ...support.server import Fault, serve
from ...support.tagged import (
    LANGUAGES,
    SENTENCES,
    language_archive,
    panx_zip,
    published,
    raw_splits,
    to_text,
    write_processed,
)

NAME = "panx_dataset.zip"


@pytest.fixture
def fetch(tmp_path) -> Callable[..., Path]:
    """Make raw text by the command, and return its folder."""

    def fetch(source: Path | str | None, *options: str, languages: str = "de,ar,en") -> Path:
        raw = tmp_path / "raw"
        given = [] if source is None else ["--source", str(source)]
        main(["panx", "--destdir", str(raw), "--languages", languages, *given, *options])
        return raw

    return fetch


@pytest.fixture
def refusal(fetch, tmp_path) -> Callable[..., str]:
    """The line that the command ends with, which leaves nothing but downloads."""

    def refusal(*arguments, **options) -> str:
        with pytest.raises(SystemExit) as error:
            fetch(*arguments, **options)
        assert isinstance(error.value.code, str) and error.value.code.isprintable()
        assert {name.partition("/")[0] for name in contents(tmp_path / "raw")} <= {"downloads"}
        return error.value.code

    return refusal


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def texts(languages=LANGUAGES, tests: str = "test") -> dict[str, bytes]:
    """The files that are to come out, without the report."""
    splits = raw_splits(languages, tests)
    return {f"{split}.tsv": to_text(sentences).encode() for split, sentences in splits.items()}


def made(raw: Path) -> dict[str, bytes]:
    files = contents(raw)
    assert files.pop("raw.json")
    return {name: content for name, content in files.items() if "downloads" not in name}


def test_the_languages_are_the_papers():
    assert len(set(panx.LANGUAGES)) == len(panx.LANGUAGES) == 48
    assert panx.LANGUAGES[:3] == ["ar", "he", "vi"] and panx.LANGUAGES[-1] == "ro"


def in_folders(folder: Path, where: str) -> Path:
    for language in SENTENCES:
        write(folder / where / f"{language}.tar.gz", language_archive(language))
    return folder


SOURCES: dict[str, Callable[[Path], Path]] = {
    "the archive": lambda folder: write(folder / "any name", panx_zip()),
    "a folder of it": lambda folder: write(folder / NAME, panx_zip()).parent,
    "the languages' archives": lambda folder: in_folders(folder, "."),
    "those in their folder": lambda folder: in_folders(folder, "panx_dataset"),
    "members with ./": lambda folder: write(
        folder / "x.zip",
        zipped(
            {
                f"panx_dataset/{lang}.tar.gz": tgz(
                    {f"./{name}": content for name, content in published(lang).items()}
                )
                for lang in LANGUAGES
            }
        ),
    ),
    "processed files": lambda folder: write_processed(folder, tags_of_tests=True),
}


@pytest.mark.parametrize("tests", ["test", "dev"])
@pytest.mark.parametrize("source", SOURCES)
def test_archives_and_folders_are_sources(source, tests, fetch, tmp_path, capsys):
    raw = fetch(SOURCES[source](tmp_path / "source"), "--test-split", tests)
    assert made(raw) == texts(tests=tests)
    printed = capsys.readouterr().out
    assert "train: 4 sentences; LOC 4, ORG 1, PER 2" in printed
    report = read_json(raw / "raw.json")
    assert report["splits"]["train"] == {
        "sentences": 4,
        "tags": {"B-PER": 1, "I-PER": 2, "O": 8, "B-LOC": 3, "B-ORG": 1, "I-ORG": 1, "I-LOC": 1},
        "entities": {"PER": 2, "LOC": 4, "ORG": 1},
    }
    assert list(report["splits"]) == ["train", "valid", "test-de", "test-ar", "test-en"]


def test_white_space_around_a_published_word_is_lost(fetch, tmp_path):
    raw = fetch(SOURCES["the archive"](tmp_path / "source"), languages="zh")
    words = [word for each in read_tagged(raw / "test-zh.tsv") for word in each.words]
    assert words == ["東", "京", "都", "\ufeff", "1"] * 2


def test_the_archive_is_fetched_and_kept(fetch, refusal, tmp_path, monkeypatch):
    content = panx_zip()
    archive = write(tmp_path / "served" / NAME, content)
    with serve(archive.parent, {NAME: [Fault(cut=500)]}) as served:
        pinned = replace(panx.PUBLISHED, url=served.url + NAME, size=len(content))
        monkeypatch.setattr("intra_distill.tools.corpora.download.PAUSE", 0.001)
        monkeypatch.setattr(panx, "PUBLISHED", replace(pinned, sha256="0" * 64))
        assert "another file; none of it was kept" in refusal(None)
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(panx, "PUBLISHED", replace(pinned, sha256=digest))
        raw = fetch(None)
        assert made(raw) == texts()
        report = read_json(raw / "raw.json")
        assert report["from"] == {
            "place": served.url + NAME,
            "bytes": len(content),
            "sha256": digest,
        }
        shutil.rmtree(raw)
        assert made(fetch(served.url + NAME)) == texts()


@pytest.mark.parametrize(
    "content, said",
    [
        (b"<!DOCTYPE html><title>Log in</title>", "sends a web page, not an archive"),
        (b"no archive", "is not a .zip archive"),
        (panx_zip()[:-9], "is damaged or truncated"),
    ],
)
def test_what_a_server_sends_instead_is_not_kept(content, said, refusal, tmp_path):
    archive = write(tmp_path / "served" / NAME, content)
    with serve(archive.parent) as served:
        assert said in refusal(served.url + NAME)
        assert not (tmp_path / "raw" / "downloads" / NAME).exists()


def test_what_is_missing_is_named(refusal, tmp_path):
    archive = write(tmp_path / "a.zip", panx_zip(["en", "de"]))
    said = refusal(archive, languages="de,th,ar,qu")
    assert (
        f"{archive} has no test set of th, ar, qu (test-th.tsv, th.tar.gz or {NAME}): name" in said
    )
    assert "--languages" in said
    processed = write_processed(tmp_path / "processed")
    (processed / "dev-ar.tsv").unlink()
    said = refusal(processed, "--test-split", "dev")
    assert "has no dev set of ar (dev-ar.tsv, " in said
    (processed / "train-en.tsv").unlink()
    said = refusal(processed, "--test-split", "dev")
    assert "has no train set of en" in said and said.endswith(f": get {panx.PUBLISHED.url}")
    assert "--languages de/../x: a name has nothing but" in refusal(archive, languages="de/../x")
    assert "No such file or folder" in refusal(tmp_path / "none")


def test_test_sets_without_tags_are_refused(refusal, fetch, tmp_path):
    processed = write_processed(tmp_path / "processed")
    said = refusal(processed)
    assert "test-de.tsv has no tags" in said and "--test-split dev" in said
    assert made(fetch(processed, "--test-split", "dev")) == texts(tests="dev")


BAD_LINES = {
    "en:Denver": "line 3: no tag: a line is a word, a tab and its tag",
    "en:Denver\t": "line 3: the tag is '', not O or B-LOC",
    "en:Denver\tB-MISC": "line 3: the tag is 'B-MISC', not O or B-LOC",
    "en:Denver\tB-LOC\r\r": "line 3: a carriage return or NUL",
    "en:Den\rver\tB-LOC": "line 3: a carriage return or NUL",
    "en:Den\0ver\tB-LOC": "line 3: a carriage return or NUL",
    "en:Denver\tx\tB-LOC": "line 3: 3 columns: a line is",
    "\tB-LOC": "line 3: '' does not begin with a language and a colon",
    "Denver\tB-LOC": "line 3: 'Denver' does not begin with a language and a colon",
    "en:\udcff\tO": "line 3: not UTF-8",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_malformed_line_is_named(line, refusal, tmp_path):
    text = f"en:the\tO\nen:Nations\tO\n{line}\n".encode(errors="surrogateescape")
    members = {**published("en"), "dev": text}
    path = write(tmp_path / "en.tar.gz", tgz(members))
    said = refusal(tmp_path, languages="en")
    assert f"{path}, dev, {BAD_LINES[line]}" in said
    archive = write(tmp_path / NAME, zipped({"panx_dataset/en.tar.gz": path.read_bytes()}))
    assert f"{archive}, en.tar.gz, dev, {BAD_LINES[line]}" in refusal(archive, languages="en")


@pytest.mark.parametrize("text", ["", "\n\n", "  \n", "\ufeff"])
def test_an_empty_file_is_named(text, refusal, tmp_path):
    processed = write_processed(tmp_path / "processed")
    (processed / "dev-ar.tsv").write_text(text)
    assert "dev-ar.tsv has no sentences" in refusal(processed, "--test-split", "dev")


def test_line_ends_byte_order_marks_and_empty_lines_do_not_matter(fetch, tmp_path):
    processed = write_processed(tmp_path / "processed", tags_of_tests=True)
    for path in processed.iterdir():
        lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        text = "\ufeff\r\n" + "\r\n".join(line or "\r\n \r\n" for line in lines)
        path.write_text(text, encoding="utf-8", newline="")
    assert made(fetch(processed)) == texts()


NESTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "a web page": (lambda: b"<html>Sign in</html>", "is a web page, not an archive"),
    "no archive": (lambda: b"x", "is not a .tgz archive"),
    "cut": (lambda: language_archive("de")[:-20], "is damaged or truncated"),
    "without the split": (lambda: tgz({"train": b"de:x\tO\n"}), "does not hold test"),
    "a folder": (lambda: tgz({"test/x": b""}), "does not hold test"),
    "outside": (lambda: tgz({"test": b"de:x\tO\n", "../../evil": b"x"}), "outside its folder"),
}


@pytest.mark.parametrize("case", NESTED)
def test_the_archive_of_a_language_is_a_strangers(case, refusal, tmp_path):
    content, said = NESTED[case]
    archives = {"en": language_archive("en"), "de": content()}
    members = {f"panx_dataset/{name}.tar.gz": archive for name, archive in archives.items()}
    archive = write(tmp_path / "source" / NAME, zipped(members))
    line = refusal(archive, languages="de")
    assert said in line and f"in {archive}: " in line
    assert not list(tmp_path.rglob("evil"))


def test_text_is_made_once(fetch, refusal, tmp_path, capsys):
    source = SOURCES["the archive"](tmp_path / "source")
    before = contents(fetch(source))
    source.unlink()
    capsys.readouterr()
    fetch(None, languages="ar,en,de,ar")
    assert "was finished before: nothing to do" in capsys.readouterr().out
    for options, said in {
        ("--languages", "de"): "was made with languages ar,de,en, not de",
        ("--test-split", "dev"): "was made with test_split test, not dev",
        ("--source", "other"): "was made with source ",
    }.items():
        with pytest.raises(SystemExit) as error:
            fetch(None, *options)
        assert said in error.value.code
    assert contents(tmp_path / "raw") == before


@pytest.mark.parametrize("name", ["train.tsv", "test-en.tsv", "raw.json"])
def test_a_killed_run_is_completed(name, fetch, tmp_path, monkeypatch):
    source = SOURCES["the archive"](tmp_path / "source")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, name)
        fetch(source)
    assert made(fetch(source)) == texts()


def test_entities_begin_as_in_seqeval():
    from seqeval.metrics.sequence_labeling import get_entities

    tags = "O B-A I-A I-B I-B B-B B-B O I-A I-A B-A O O I-B".split()
    ours = sorted(entities(tags), key=lambda entity: entity[1])
    assert [kind for kind, _, _ in ours] == [kind for kind, _, _ in get_entities(tags)]
