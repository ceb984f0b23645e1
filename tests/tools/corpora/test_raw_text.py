from pathlib import Path

import pytest

from intra_distill.errors import UserError
from intra_distill.files import read_json
from intra_distill.tools.corpora.raw_text import make_raw_text, parallel_files

from ...support.kills import Killed, kill_before_rename

REQUEST = {"command": "iwslt14", "pair": "de-en", "source": "a.tgz"}


def write(folder: Path) -> dict:
    (folder / "unpacked").mkdir()
    for name in ("train.de", "train.en", "test.de", "test.en"):
        (folder / name).write_text("Brot\n")
    return {"lines": 1}


def refuse(folder: Path) -> dict:
    (folder / "train.de").write_text("half\n")
    raise UserError("no")


def never(folder: Path) -> dict:
    raise AssertionError("the work is done again")


def make(raw: Path, write=never, **changes: str | None) -> bool:
    return make_raw_text(raw, parallel_files(["de", "en"]), {**REQUEST, **changes}, write)


def test_text_is_made_once(tmp_path):
    assert make(tmp_path, write)
    files = {"train.de", "train.en", "test.de", "test.en", "raw.json"}
    assert {path.name for path in tmp_path.iterdir()} == files
    assert read_json(tmp_path / "raw.json") == {**REQUEST, "lines": 1}
    assert not make(tmp_path)
    assert not make(tmp_path, source=None)
    for name, value in {"command": "wmt17", "pair": "he-en", "source": "b.tgz"}.items():
        with pytest.raises(UserError, match=f"made with {name} {REQUEST[name]}, not {value}"):
            make(tmp_path, **{name: value})


@pytest.mark.parametrize("name, redone", [("test.en", True), ("raw.json", False)])
def test_a_killed_run_is_completed(tmp_path, monkeypatch, name, redone):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, name)
        make(tmp_path, write)
    with pytest.raises(UserError, match="with pair de-en, not he-en"):
        make(tmp_path, pair="he-en")
    make(tmp_path, write if redone else never, source=None)
    source = None if redone else "a.tgz"  # of which the text is
    assert read_json(tmp_path / "raw.json") == {**REQUEST, "source": source, "lines": 1}


def test_a_refusal_leaves_nothing_but_what_was_fetched(tmp_path):
    (tmp_path / "downloads").mkdir()
    with pytest.raises(UserError, match="^no$"):
        make(tmp_path, refuse)
    assert [path.name for path in tmp_path.iterdir()] == ["downloads"]
    make(tmp_path, write, pair="he-en")
