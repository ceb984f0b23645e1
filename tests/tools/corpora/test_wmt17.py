import os
import subprocess
import sys
from pathlib import Path

import pytest
from sacrebleu.dataset import DATASETS

from intra_distill.cli import main
from intra_distill.files import read_json, read_lines
from intra_distill.tools.corpora import download, wmt17

from ...support.archives import tgz
from ...support.corpora import (
    Pairs,
    newstest_text,
    wmt17_files,
    wmt17_text,
    write_newstest2014,
    write_wmt17_archives,
    write_wmt17_files,
)
from ...support.server import Fault, serve


@pytest.fixture
def newstest(tmp_path: Path, monkeypatch) -> Path:
    """sacreBLEU's folder, which it has looked up already when a test begins."""
    folder = tmp_path / "sacrebleu"
    write_newstest2014(folder)
    outdir = folder / "wmt14" / "full"
    monkeypatch.setattr(DATASETS["wmt14/full"], "_outdir", str(outdir))
    monkeypatch.setattr(DATASETS["wmt14/full"], "_rawdir", str(outdir / "raw"))
    return outdir


@pytest.fixture
def archives(tmp_path: Path, monkeypatch) -> Path:
    """The folder of three archives that are taken for the official ones."""
    folder = tmp_path / "archives"
    monkeypatch.setattr(wmt17, "CORPORA", write_wmt17_archives(folder))
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The folder of what the three archives unpack to."""
    write_wmt17_files(tmp_path / "files")
    return tmp_path / "files"


def run(raw: Path, source: Path | str | None = None, *options: str) -> None:
    given = [] if source is None else ["--source", str(source)]
    main(["wmt17", "--destdir", str(raw), *given, *options])


def text(raw: Path, split: str) -> Pairs:
    return list(zip(*(read_lines(raw / f"{split}.{lang}") for lang in ("en", "de"))))


def refusal(raw: Path, source: Path | str | None = None) -> str:
    with pytest.raises(SystemExit) as error:
        run(raw, source)
    assert "\n" not in error.value.code
    left = {path.name for path in raw.iterdir()} if raw.exists() else set()
    assert left <= {"downloads"}
    return error.value.code


def check(raw: Path) -> None:
    corpora = wmt17_text()
    assert list(corpora) == ["europarl-v7", "commoncrawl", "news-commentary-v12"]
    assert text(raw, "train") == sum(corpora.values(), [])
    assert text(raw, "test") == newstest_text()
    report = read_json(raw / "raw.json")
    assert report["pairs"] == {"train": 606, "test": 20}
    assert {name: facts["pairs"] for name, facts in report["corpora"].items()} == dict.fromkeys(
        corpora, 202
    )


@pytest.mark.parametrize("folder", ["archives", "files"])
def test_archives_and_unpacked_files_become_text(tmp_path, newstest, archives, files, folder):
    run(tmp_path / "raw", tmp_path / folder)
    check(tmp_path / "raw")
    made = {"train.en", "train.de", "test.en", "test.de", "raw.json"}
    assert {path.name for path in (tmp_path / "raw").iterdir()} == made
    with pytest.raises(SystemExit, match="with source"):
        run(tmp_path / "raw", tmp_path / "elsewhere")


def test_marks_that_are_not_text_are_removed(tmp_path, newstest, files):
    for lang in ("en", "de"):
        with open(files / f"commoncrawl.de-en.{lang}", "ab") as file:
            file.write(b"\xef\xbb\xbfa\0 b\n")
    run(tmp_path / "raw", files)
    others = sum(wmt17_text().values(), [])
    assert [p for p in text(tmp_path / "raw", "train") if p not in others] == [("a b", "a b")]


@pytest.mark.parametrize("end", ["", "/"])
def test_a_mirror_is_a_source(tmp_path, newstest, archives, end, capsys):
    cut = {"training-parallel-commoncrawl.tgz": [Fault(cut=1000)]}
    with serve(archives, cut) as served:
        run(tmp_path / "raw", served.url.rstrip("/") + end)
        run(tmp_path / "raw")
    check(tmp_path / "raw")
    assert len(served.requests) == 4
    printed = capsys.readouterr().out
    assert "GB to fetch" in printed and printed.endswith("nothing to do\n")


def test_a_killed_run_fetches_nothing_again(tmp_path, newstest, archives, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with serve(archives) as served:
        with monkeypatch.context() as patch, pytest.raises(SystemExit, match="130"):
            patch.setattr(wmt17, "concatenate", killed)
            run(tmp_path / "raw", served.url)
        run(tmp_path / "raw", served.url)
    check(tmp_path / "raw")
    assert len(served.requests) == 3


def test_sacrebleu_looks_for_it_where_its_variable_says(tmp_path):
    write_newstest2014(tmp_path)
    script = "from sacrebleu.utils import get_source_file as f; print(f('wmt14/full', 'en-de'))"
    found = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "SACREBLEU": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert list(read_lines(found.strip())) == [english for english, _ in newstest_text()]


def test_a_test_set_that_sacrebleu_cannot_get_is_said_first(tmp_path, newstest, monkeypatch):
    (newstest / "wmt14_full.en-de.ref").unlink()
    with serve(tmp_path) as served:
        monkeypatch.setattr(DATASETS["wmt14/full"], "data", [f"{served.url}test-full.tgz"])
        message = refusal(tmp_path / "raw", "http://127.0.0.1:9/")
    assert "404" in message and "sacrebleu -t wmt14/full -l en-de --echo src" in message


@pytest.mark.parametrize("name", ["europarl-v7", "commoncrawl", "news-commentary-v12"])
def test_a_wrong_archive_is_refused_by_name(tmp_path, newstest, archives, name):
    path = archives / wmt17.CORPORA[name].remote.name
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert f"{path} has the SHA-256" in refusal(tmp_path / "raw", archives)
    with serve(archives) as served:
        message = refusal(tmp_path / "raw", served.url)
    assert f"{served.url}{path.name} has the SHA-256" in message
    assert not (tmp_path / "raw" / "downloads" / path.name).exists()


def test_a_folder_without_a_corpus_is_refused_by_name(tmp_path, newstest, archives):
    name = "training-parallel-nc-v12.tgz"
    (archives / name).unlink()
    message = refusal(tmp_path / "raw", archives)
    assert name in message and "data.statmt.org" in message
    with serve(archives) as served:
        message = refusal(tmp_path / "raw", served.url)
    assert f"{served.url}{name}" in message and "404" in message and "--source" in message


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            {"commoncrawl.de-en.de": "zu viel\n"},
            "commoncrawl has 202 English lines and 1 German ones",
        ),
        (
            {f"training/europarl-v7.de-en.{lang}": "" for lang in ("en", "de")},
            "europarl-v7 has 0 English lines",
        ),
    ],
)
def test_sides_without_translation_are_refused_by_name(tmp_path, newstest, files, changes, said):
    for name, content in changes.items():
        (files / name).write_text(content)
    assert said in refusal(tmp_path / "raw", files)


def test_an_archive_without_a_side_is_refused(tmp_path, newstest, archives, monkeypatch):
    members = wmt17_files()["commoncrawl"]
    del members["commoncrawl.de-en.de"]
    corpus = wmt17.CORPORA["commoncrawl"]
    (archives / corpus.remote.name).write_bytes(tgz(members))
    monkeypatch.setattr(wmt17, "find_fault", lambda path, remote: None)
    assert "does not hold commoncrawl.de-en.de" in refusal(tmp_path / "raw", archives)


@pytest.mark.parametrize("local", [True, False])
def test_a_full_disk_is_seen_before_any_work(tmp_path, newstest, archives, monkeypatch, local):
    sizes = sum(corpus.remote.size for corpus in wmt17.CORPORA.values())
    usage = download.shutil.disk_usage(tmp_path)._replace(free=(2 if local else 3) * sizes - 1)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    with serve(archives) as served:
        assert "has room for" in refusal(tmp_path / "raw", archives if local else served.url)
    assert served.requests == []
