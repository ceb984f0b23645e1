from pathlib import Path

import pytest

from intra_distill.errors import UserError
from intra_distill.files import read_json
from intra_distill.tools.corpora.raw_text import make_raw_text

REQUEST = {"command": "iwslt14", "pair": "de-en", "source": "a.tgz"}


def write(folder: Path) -> dict:
    assert list(folder.iterdir()) == []
    (folder / "unpacked").mkdir()
    (folder / "unpacked" / "x").touch()
    (folder / "train.de").write_text("Brot\n")
    return {"lines": 1}


def refuse(folder: Path) -> dict:
    (folder / "train.de").write_text("half\n")
    raise UserError("no")


def never(folder: Path) -> dict:
    raise AssertionError("the work is done again")


def test_a_folder_is_made_once(tmp_path, capsys):
    raw = tmp_path / "a" / "raw"
    make_raw_text(raw, REQUEST, write)
    assert {path.name for path in raw.iterdir()} == {"train.de", "raw.json"}
    assert read_json(raw / "raw.json") == {**REQUEST, "lines": 1}
    make_raw_text(raw, REQUEST, never)
    make_raw_text(raw, {**REQUEST, "source": None}, never)
    assert capsys.readouterr().out.count("nothing to do") == 2


@pytest.mark.parametrize(
    "name, value", [("command", "wmt17"), ("pair", "he-en"), ("source", "b.tgz")]
)
def test_another_request_is_refused_by_name(tmp_path, name, value):
    make_raw_text(tmp_path / "raw", REQUEST, write)
    with pytest.raises(UserError, match=f"with {name} {REQUEST[name]}, not {value}"):
        make_raw_text(tmp_path / "raw", {**REQUEST, name: value}, never)


def test_a_killed_run_is_begun_anew(tmp_path):
    raw = tmp_path / "raw"
    with pytest.raises(KeyboardInterrupt):
        make_raw_text(raw, REQUEST, interrupt)
    assert not (raw / "train.de").exists()
    with pytest.raises(UserError, match="with pair de-en, not he-en"):
        make_raw_text(raw, {**REQUEST, "pair": "he-en"}, never)
    make_raw_text(raw, REQUEST, write)
    assert (raw / "train.de").read_text() == "Brot\n"


def interrupt(folder: Path) -> dict:
    (folder / "train.de").write_text("half\n")
    raise KeyboardInterrupt


def test_a_refusal_leaves_nothing_but_what_was_fetched(tmp_path):
    raw = tmp_path / "raw"
    with pytest.raises(UserError, match="^no$"):
        make_raw_text(raw, REQUEST, refuse)
    assert not raw.exists()
    (raw / "downloads").mkdir(parents=True)
    with pytest.raises(UserError):
        make_raw_text(raw, REQUEST, refuse)
    assert [path.name for path in raw.iterdir()] == ["downloads"]
    make_raw_text(raw, {**REQUEST, "pair": "he-en"}, write)


def test_files_of_something_else_are_left_alone(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="something else"):
        make_raw_text(tmp_path, REQUEST, never)
    with pytest.raises(UserError, match="not a folder"):
        make_raw_text(tmp_path / "mine", REQUEST, never)
    with pytest.raises(UserError, match="cannot write"):
        make_raw_text(tmp_path / "mine" / "raw", REQUEST, never)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
