from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from intra_distill.errors import UserError
from intra_distill.files import read_json
from intra_distill.tools.directory import Directory, outcome

from ..support.files import contents
from ..support.kills import Killed, kill_before_rename

REQUEST = {"size": 80, "text": "abc"}
STEPS = ["draft", "model", "data"]  # a file each, the first of which only later steps read
FULL_DISK = OSError(28, "No space left on device")


def find_difference(made: dict[str, Any], request: dict[str, Any]) -> str | None:
    return next((f"{k} {made[k]}, not {v}" for k, v in request.items() if made[k] != v), None)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "a" / "made", "report.json", REQUEST, find_difference, {"archives"})


def steps(
    taken: list[str] | None = None, fail: str = "", error: Exception | None = None
) -> Callable[[Directory], dict[str, Any]]:
    """Steps that note which of them are taken; the step ``fail`` raises in the middle of it."""
    taken = [] if taken is None else taken

    def take_steps(directory: Directory) -> dict[str, Any]:
        for name in STEPS:

            def write(scratch: Path, name: str = name) -> None:
                assert list(scratch.iterdir()) == []
                taken.append(name)
                (scratch / "rest").mkdir()
                (scratch / name).write_text("half")
                if name == fail:
                    raise error
                (scratch / name).write_text(f"{name} whole")

            folder = directory.work if name == "draft" else directory.path
            directory.make_files(folder, [name], write)
        return {"steps": len(STEPS)}

    return take_steps


def never(directory: Directory) -> dict[str, Any]:
    raise AssertionError("the steps are taken again")


def assert_finished(directory: Directory) -> None:
    assert read_json(directory.path / "report.json") == {**REQUEST, "steps": 3}
    assert {path.name for path in directory.path.iterdir()} == {"model", "data", "report.json"}
    assert (directory.path / "data").read_text() == "data whole"


def test_a_directory_is_made_once(directory):
    assert directory.make(steps())
    assert_finished(directory)
    directory.work.mkdir()  # as of a run that was killed as it removed it
    assert not directory.make(never)
    assert_finished(directory)
    assert outcome(Path("x"), True) == "x is finished"
    assert outcome(Path("x"), False).endswith("nothing to do")


NAMED_IN_ORDER = ["request.json", *STEPS, "report.json"]


@pytest.mark.parametrize("name", NAMED_IN_ORDER)
def test_a_killed_run_is_completed_by_the_next(directory, monkeypatch, name):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_rename(patch, name)
        directory.make(steps())
    whole = NAMED_IN_ORDER[1 : NAMED_IN_ORDER.index(name)]
    if name != "request.json":
        with pytest.raises(UserError, match="made with size 80, not 70: choose another --destdir"):
            replace(directory, request={**REQUEST, "size": 70}).make(never)
    for step in whole:
        folder = directory.work if step == "draft" else directory.path
        assert (folder / step).read_text() == f"{step} whole"
    taken = []
    assert directory.make(steps(taken))
    assert taken == [step for step in STEPS if step not in whole]
    assert_finished(directory)


@pytest.mark.parametrize(
    "fail, error, kept",
    [
        ("draft", UserError("no"), []),
        ("model", UserError("no"), []),  # a corrected request needs another draft
        ("data", UserError("no"), ["draft", "model"]),
        ("draft", FULL_DISK, []),
        ("model", FULL_DISK, ["draft"]),
        ("data", FULL_DISK, ["draft", "model"]),
    ],
)
@pytest.mark.parametrize("beside", [[], ["archives"]])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_is_left_of_a_run_that_fails(directory, fail, error, kept, beside, wrapped):
    for name in beside:
        (directory.path / name).mkdir(parents=True)
    if wrapped and error is FULL_DISK:
        error = UserError("cannot write x: No space left on device")
        error.__cause__ = FULL_DISK
    with pytest.raises(UserError, match="^no$|cannot write .*: No space left on device$"):
        directory.make(steps(fail=fail, error=error))
    assert not (directory.work / "scratch").exists()
    assert directory.work.exists() == bool(kept)
    assert directory.path.exists() == bool(kept or beside)
    taken = []
    directory.make(steps(taken))
    assert taken == [step for step in STEPS if step not in kept]


def test_another_request_is_refused(directory):
    directory.make(steps())
    before = contents(directory.path)
    with pytest.raises(UserError, match="made with text abc, not d: choose another --destdir or"):
        replace(directory, request={**REQUEST, "text": "d"}).make(never)
    assert contents(directory.path) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("name", ["report.json", ".partial/request.json"])
def test_a_damaged_report_or_request_is_refused(directory, name, content):
    (directory.path / name).parent.mkdir(parents=True)
    (directory.path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is damaged or another program's: choose another"):
        directory.make(never)
    assert contents(directory.path) == {name: content}


@pytest.mark.parametrize(
    "name, message",
    [
        ("a/made", "is not a directory"),
        ("a/made/precious", "holds other files: choose another --destdir"),
        ("a", "cannot write to --destdir .*: Not a directory"),
    ],
)
def test_other_files_are_left_alone(directory, tmp_path, name, message):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("kept")
    with pytest.raises(UserError, match=message):
        directory.make(never)
    assert contents(tmp_path) == {name: b"kept"}


def test_work_of_an_unknown_request_is_not_used(directory):
    directory.work.mkdir(parents=True)
    (directory.work / "draft").write_text("stale")
    taken = []
    directory.make(steps(taken))
    assert taken == STEPS
