"""TyDiQA-GoldP, made up in its own layout."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.files import read_json
from intra_distill.tools.corpora import tydiqa
from intra_distill.tools.corpora.squad import read_squad, write_squad

from ...support.archives import tgz
from ...support.questions import berlin, pack_dev, tydiqa_files, write_tydiqa
from ...support.server import serve

DEV = "tydiqa-goldp-v1.1-dev"


@pytest.fixture
def make(tmp_path) -> Callable[[Path | str | None], Path]:
    def make(source: Path | str | None) -> Path:
        given = [] if source is None else ["--source", str(source)]
        main(["tydiqa", "--destdir", str(tmp_path / "raw"), *given])
        return tmp_path / "raw"

    return make


@pytest.fixture
def refusal(make, tmp_path) -> Callable[[Path | str], str]:
    def refusal(source: Path | str) -> str:
        with pytest.raises(SystemExit) as error:
            make(source)
        assert not (tmp_path / "raw" / "train.json").exists()
        return error.value.code

    return refusal


def check(raw: Path) -> None:
    files = tydiqa_files()
    train = [each for each in files[f"{DEV[:-4]}-train.json"] if each.id.startswith("english-")]
    assert read_squad(raw / "train.json") == train and len(train) == 2
    for lang, name in tydiqa.LANGUAGES.items():
        expected = files[f"{DEV}/tydiqa-goldp-dev-{name}.json"]
        assert read_squad(raw / f"test-{lang}.json") == expected
    assert read_squad(raw / "valid.json") == read_squad(raw / "test-en.json")
    made = {path.name for path in raw.iterdir()} - {"downloads"}
    assert made == {*tydiqa.FILE_NAMES.values(), "raw.json"}
    report = read_json(raw / "raw.json")
    assert report["command"] == "tydiqa"
    assert report["questions"] == {
        "train": 2,
        "valid": 2,
        **dict.fromkeys((f"test-{lang}" for lang in tydiqa.LANGUAGES), 2),
    }


def xtremes_names(source: Path) -> None:
    for lang, name in tydiqa.LANGUAGES.items():
        (source / DEV / f"tydiqa-goldp-dev-{name}.json").rename(
            source / DEV / f"tydiqa.{lang}.dev.json"
        )
    (source / "tydiqa-goldp-v1.1-train").mkdir()
    questions = read_squad(source / "tydiqa-goldp-v1.1-train.json")
    english = [each for each in questions if each.id.startswith("english-")]
    write_squad(source / "tydiqa-goldp-v1.1-train" / "tydiqa.en.train.json", english)
    (source / "tydiqa-goldp-v1.1-train.json").unlink()


def flat(source: Path) -> None:
    for path in (source / DEV).iterdir():
        path.rename(source / path.name)
    (source / DEV).rmdir()


def packed_flat(source: Path) -> None:
    flat(source)
    members = {f"./{path.name}": path.read_bytes() for path in source.glob("*-dev-*")}
    for name in members:
        (source / name).unlink()
    (source / f"{DEV}.tgz").write_bytes(tgz(members))


@pytest.mark.parametrize("layout", [lambda _: None, flat, pack_dev, packed_flat, xtremes_names])
def test_folders_of_all_layouts_are_sources(layout, make, tmp_path):
    source = write_tydiqa(tmp_path / "source")
    layout(source)
    check(make(source))


@pytest.fixture
def served(tmp_path, monkeypatch) -> Path:
    """The two files of TyDiQA, to which the downloads are pinned."""
    source = write_tydiqa(tmp_path / "server")
    pack_dev(source)
    for name, file in (("TRAIN_FILE", f"{DEV[:-4]}-train.json"), ("DEV_ARCHIVE", f"{DEV}.tgz")):
        remote, content = getattr(tydiqa, name), (source / file).read_bytes()
        assert remote.name == file and remote.url == tydiqa.BASE + file
        pin = replace(remote, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(tydiqa, name, pin)
    return source


def test_a_server_is_asked_once_for_each_file(served, make):
    with serve(served) as server:
        for source in (server.url, server.url.rstrip("/"), None):
            raw = make(source)
            check(raw)
            for path in raw.glob("*.json"):  # what was fetched stays
                path.unlink()
    assert len(server.requests) == 2


def test_a_changed_file_on_a_server_is_refused(served, refusal, monkeypatch):
    monkeypatch.setattr(tydiqa, "DEV_ARCHIVE", replace(tydiqa.DEV_ARCHIVE, sha256="0" * 64))
    with serve(served) as server:
        assert "damaged in transit or another file" in refusal(server.url)


def test_what_is_missing_is_named(refusal, tmp_path):
    source = write_tydiqa(tmp_path / "source")
    (source / DEV / "tydiqa-goldp-dev-telugu.json").unlink()
    missing = "holds no tydiqa-goldp-dev-telugu.json or tydiqa.te.dev.json"
    assert f"{DEV} {missing}" in refusal(source)
    pack_dev(source)
    said = refusal(source)
    assert f"in {source}/{DEV}.tgz: " in said and missing in said
    (source / f"{DEV}.tgz").unlink()
    assert f"holds no {DEV}.tgz, which is at https://storage.googleapis.com/" in refusal(source)
    (source / "tydiqa-goldp-v1.1-train.json").unlink()
    assert "holds no tydiqa-goldp-v1.1-train.json or" in refusal(source)


def test_files_of_other_languages_are_refused(refusal, tmp_path):
    source = write_tydiqa(tmp_path / "source")
    write_squad(source / DEV / "tydiqa-goldp-dev-korean.json", berlin("en", "english-1"))
    assert "korean.json has questions whose ids do not begin with korean-" in refusal(source)
    write_squad(source / "tydiqa-goldp-v1.1-train.json", berlin("ar", "arabic-1"))
    assert "has no English questions: their ids begin with english-" in refusal(source)


def test_a_damaged_archive_is_refused(refusal, tmp_path):
    source = write_tydiqa(tmp_path / "source")
    archive = pack_dev(source)
    archive.write_bytes(archive.read_bytes()[:-20])
    assert "is damaged or truncated" in refusal(source)
