import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.errors import UserError
from intra_distill.tools.preparation import added_test_sets, translation
from intra_distill.tools.preparation.added_test_sets import add_test_sets
from intra_distill.tools.preparation.request import TranslationPreparation

from ...support.files import contents
from ...support.kills import Killed, kill_before_rename
from ...support.preparations import decoded, files_of, prepare
from ...support.text import toy_pairs, write_pairs

ODD = [("Ab  ½", "ba\u3000DE ½"), ("", ""), ("Ab 漢 </s>", "</s> ba"), ("A\u0308b", "ÄÖ")]


@pytest.fixture
def made(finished, tmp_path) -> TranslationPreparation:
    """A finished preparation with the test sets test and test1, whose directory may be changed."""
    shutil.copytree(finished.destdir, tmp_path / "data")
    return replace(finished, destdir=tmp_path / "data")


@pytest.fixture
def new(tmp_path) -> Path:
    """The prefix of a new test set."""
    write_pairs(tmp_path / "new", [*toy_pairs(6, 5), *ODD])
    return tmp_path / "new"


def report(data: Path, name: str) -> dict:
    return json.loads((data / f"prepare.{name}.json").read_text())


def differences(data: Path, before: dict[str, bytes]) -> set[str]:
    """The files that are new; all others must be as they were."""
    after = contents(data)
    assert {name: after[name] for name in before} == before
    return after.keys() - before.keys()


@pytest.mark.parametrize(
    "changes", [{}, {"lowercase": True, "normalization": "identity"}], ids=["plain", "other"]
)
def test_a_set_is_added_as_prepare_would_have_made_it(made, new, tmp_path, capsys, changes):
    if changes:
        made = prepare(made, **changes, destdir=tmp_path / "changed")
    together = prepare(made, test=(*made.test, str(new)), destdir=tmp_path / "together")
    before = contents(made.destdir)
    capsys.readouterr()
    main(["add-test", str(made.destdir), "--test", str(new)])
    assert f"{new}.de and {new}.en are test2 of {made.destdir}\n" in capsys.readouterr().out
    assert differences(made.destdir, before) == {*files_of("test2"), "prepare.test2.json"}
    for file in files_of("test2"):
        assert (made.destdir / file).read_bytes() == (together.destdir / file).read_bytes()
    expected, recorded = json.loads((together.destdir / "prepare.json").read_text()), {}
    for part in ("inputs", "unknown"):
        of_all = expected["inputs"] if part == "inputs" else expected["counts"]["unknown"]
        recorded[part] = {name: of_all[name] for name in ("test2.de", "test2.en")}
    recorded["too_long"] = None
    recorded["ceiling"] = expected["ceilings"].get("test2")
    recorded["versions"] = expected["versions"]
    assert report(made.destdir, "test2") == recorded

    assert not translation.prepare(made)  # finished before
    assert differences(made.destdir, before) == {*files_of("test2"), "prepare.test2.json"}


def test_what_the_pieces_do_to_a_set_is_said(made, tmp_path, capsys):
    write_pairs(tmp_path / "new", [("Ab", "ba"), ("Ab " * 1100, "ba １ 漢")])
    add_test_sets(made.destdir, [str(tmp_path / "new")])
    unknown, long, ceiling, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"<unk> for characters .* test2.en \d", unknown)
    assert f"line 2 of {tmp_path}/new.de and" in long and long.startswith("test2: 1 pair is longer")
    assert ceiling.startswith("test2: a model without any error would score")
    assert last.endswith(f"are test2 of {made.destdir}")
    recorded = report(made.destdir, "test2")
    assert recorded["too_long"]["line"] == 2 and recorded["ceiling"]["changed"] == 1
    assert recorded["unknown"]["test2.en"]["lines"] == 1


def test_a_text_is_added_once(made, new, tmp_path, capsys):
    for lang in ("de", "en"):
        shutil.copy(f"{new}.{lang}", tmp_path / f"copy.{lang}")
    write_pairs(tmp_path / "other", [("Ab", "ba")])
    prefixes = [made.test[1], str(new), str(tmp_path / "copy"), made.valid, str(tmp_path / "other")]
    add_test_sets(made.destdir, prefixes)
    printed = [line for line in capsys.readouterr().out.splitlines() if " are test" in line]
    names = [re.search(r" are (test\d?) (of|already)", line).groups() for line in printed]
    added = [("test2", "of"), ("test2", "already"), ("test3", "of"), ("test4", "of")]
    assert names == [("test1", "already"), *added]
    assert decoded(made.destdir, "test4") == [("Ab", "ba")]
    before = contents(made.destdir)
    add_test_sets(made.destdir, prefixes)
    assert capsys.readouterr().out.count("already: nothing to do") == 5
    assert contents(made.destdir) == before


@pytest.mark.parametrize(
    "name", ["test2.de-en.de.bin", "test2.de-en.en.idx", "test2.ref.en", "prepare.test2.json"]
)
def test_a_killed_run_leaves_no_set_and_is_completed(made, new, tmp_path, monkeypatch, name):
    before = contents(made.destdir)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, name)
        add_test_sets(made.destdir, [str(new)])
    left = differences(made.destdir, before)
    assert "prepare.test2.json" not in left and (name == "prepare.test2.json" or name not in left)
    # another text takes the name; what is left of the first is not mixed with it
    write_pairs(tmp_path / "other", toy_pairs(10, 7))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, "test2.de-en.de.bin")
        add_test_sets(made.destdir, [str(tmp_path / "other")])
    assert differences(made.destdir, before) == set()
    add_test_sets(made.destdir, [str(tmp_path / "other")])
    assert decoded(made.destdir, "test2") == toy_pairs(10, 7)
    assert differences(made.destdir, before) == {*files_of("test2"), "prepare.test2.json"}


def unfinish(data: Path) -> None:
    (data / ".partial").mkdir()
    (data / "prepare.json").rename(data / ".partial" / "request.json")


@pytest.mark.parametrize(
    "change, message",
    [
        (unfinish, "data is unfinished: run the same preparation again"),
        (lambda data: (data / "prepare.json").unlink(), "has no prepare.json: make it by"),
        (
            lambda data: (data / "prepare.json").write_text("{}"),
            "is not what intra-distill prepare",
        ),
        (
            lambda data: (data / "prepare.test1.json").write_text("[1]"),
            "not what intra-distill add",
        ),
        (lambda data: (data / "sentencepiece.model").unlink(), "cannot read .*sentencepiece.model"),
        (
            lambda data: (data / "sentencepiece.model").write_bytes(b"abc"),
            "is no SentencePiece model: prepare again",
        ),
    ],
)
def test_a_directory_that_is_not_finished_is_refused(
    made, new, change: Callable[[Path], object], message
):
    change(made.destdir)
    before = contents(made.destdir)
    with pytest.raises(UserError, match=message):
        add_test_sets(made.destdir, [str(new)])
    assert contents(made.destdir) == before


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a\nb\n", "has 10 lines but .*new.en has 2"),
        (b"caf\xe9\n", "new.en, line 1: not UTF-8"),
        (b"a\nb\0c\n", "new.en, line 2: a byte order mark or NUL"),
    ],
)
def test_bad_text_is_refused_before_anything_is_added(made, new, content, message):
    before = contents(made.destdir)
    Path(f"{new}.en").write_bytes(content)
    with pytest.raises(UserError, match=message):
        add_test_sets(made.destdir, [made.valid, str(new)])
    assert contents(made.destdir) == before


def test_text_that_changes_while_it_is_read_is_refused(made, new, monkeypatch):
    before = contents(made.destdir)
    write_text = added_test_sets.write_text

    def write_and_change(*arguments: object) -> None:
        write_text(*arguments)
        Path(f"{new}.de").write_text("Ab\n")

    monkeypatch.setattr(added_test_sets, "write_text", write_and_change)
    with pytest.raises(UserError, match=r"new.de was changed while it was read"):
        add_test_sets(made.destdir, [str(new)])
    assert contents(made.destdir) == before
