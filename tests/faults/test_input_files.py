"""Strange input: texts, files and folders.

What cannot be read or written ends a command in one line; folders may have any name, and texts any
characters.
"""

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from intra_distill.tools.preparation import translation

from ..support.commands import (
    CHECKPOINT,
    PREDICTOR,
    SCORES,
    WORKING,
    command_line,
    run,
    takes_several,
)
from ..support.finished_work import contents, train


@pytest.fixture
def nobody(world) -> Iterator[None]:
    """Be a user who may read the folder but not write in it."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.chmod("raw/valid.de", 0)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.chmod("raw/valid.de", 0o644)


UNREADABLE = {
    "prepare": "--valid",
    "add-test": "--test",
    "args": "config",
    "evaluate": "--baseline",
    "table": "paths",
    "plot loss": "paths",
    "plot bleu": "paths",
    "plot alpha": "config",
    "glue": "--source",
}
UNWRITABLE = {
    "prepare": "--destdir",
    "prepare-multilingual": "--destdir",
    "add-test": "data",
    "evaluate": "--results-path",
    "average": "--output",
    "table": "--csv",
    "plot loss": "--plot",
    "sensitivity": "--results-path",
    "prune": "--results-path",
    "toy-corpus": "--destdir",
    "iwslt14": "--destdir",
    "wmt17": "--destdir",
    "glue": "--destdir",
}


@pytest.mark.parametrize("command, option", UNREADABLE.items())
def test_an_unreadable_file_ends_in_one_line(world, nobody, inject, capfd, command, option):
    inject()
    value = "raw/valid" if command in ("prepare", "add-test") else "raw/valid.de"
    changed = [value] if takes_several(command, option) else value
    code, line = run(command_line(command, {option: changed}))
    assert code == 1 and "raw/valid.de" in line and "Permission denied" in line
    assert line.isprintable() and not capfd.readouterr().err
    assert not list(world.glob("new*"))


TRANSLATION = ("prepare", "prepare-multilingual")  # whose validation text is not for others to read


@pytest.mark.parametrize("command, option", UNWRITABLE.items())
def test_an_unwritable_folder_ends_in_one_line(world, inject, capfd, nobody, command, option):
    inject()
    changes = {"--valid": "raw/test"} if command in TRANSLATION else {}
    code, line = run(command_line(command, changes))
    assert code == 1 and WORKING[command][option] in line and "Permission denied" in line
    assert line.isprintable() and not list(world.glob("new*"))


# Names that are strange, and fine


@pytest.mark.parametrize("folder", ["-a", "ein Ordner 'é%s' $HOME #&;(語)=*?[x]"])
def test_all_commands_work_in_a_folder_of_any_name(
    world, inject, monkeypatch, tmp_path, capsys, folder
):
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir()
    shutil.copy(world / "config.yaml", folder)
    for given in ("glue", "bert", "predictor"):
        shutil.copytree(world / given, Path(folder, given))

    def works(command: str, paths: dict[str, str], **more: None) -> None:
        inject()
        changes = {option: f"{folder}/{path}" for option, path in paths.items()} | more
        assert run(command_line(command, changes)) == (0, "")

    model, runs = {"data": "bin", "--path": CHECKPOINT}, {"paths": "runs"}
    raw = {option: f"raw/{option.strip('-')}" for option in ("--train", "--valid", "--test")}
    works("toy-corpus", {"--destdir": "raw"})
    works("prepare", {**raw, "--destdir": "bin"})
    train(Path(folder, "bin"), Path(folder, "runs", "plain"))
    shutil.copy(world / "runs/plain/train.log", Path(folder, "runs", "plain"))
    works("evaluate", {**model, "--results-path": "runs/plain"})
    works("evaluate", {**model, "--results-path": "new", "--baseline": "runs/plain/test.json"})
    works("add-test", {"data": "bin", "--test": "raw/train"})
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Haus\n")))
    works("encode", {"data": "bin"})
    works("sensitivity", {**model, "--results-path": "sensitivity", "--plot": "violins.png"})
    scored = {**model, "--sensitivity": SCORES}
    works("prune", {**scored, "--results-path": "pruned", "--plot": "pruned.png"})
    works("average", {"--inputs": CHECKPOINT, "--output": "average.pt"})
    works("table", {**runs, "--csv": "table.csv", "--plot": "table.png"})
    for kind in ("loss", "bleu", "sensitivity"):
        works(f"plot {kind}", {**runs, "--plot": f"{kind}.png"})
    works("plot passes", {**model, "--plot": "passes.png"})
    works("plot alpha", {"config": "config.yaml", "--plot": "alpha.png"})
    works("args", {"config": "config.yaml"})
    works("glue", {"--bert": "bert", "--source": "glue", "--destdir": "labelled"})
    model = {"data": "labelled", "--path": PREDICTOR}
    works("evaluate", {**model, "--results-path": "predicted"}, **{"--beam": None})
    works("sensitivity", {**model, "--results-path": "sensitivity_of_labels"})


def test_strange_text_is_prepared(world, inject, tmp_path, times):
    """Control characters, other line ends, and a line of megabytes, which the filters drop."""
    size = times(1_000_000, 10_000_000)
    controls = "".join(
        f"a{chr(c)}b \u2028{chr(c)}c\r\x85 {chr(c)}\n" for c in range(1, 32) if c != 10
    )
    lines = [controls, "word " * (size // 5) + "\n", "\u202e\ufeffא\u200d\n", "\ufeff\n"]
    inject(len(lines))
    for lang in ("de", "en"):
        text = (world / f"raw/train.{lang}").read_text(encoding="utf-8")
        (tmp_path / f"train.{lang}").write_text(text + "".join(lines), encoding="utf-8", newline="")
    destdir = str(tmp_path / "bin")
    changes = {"--train": str(tmp_path / "train"), "--destdir": destdir, "--vocab-size": "120"}
    assert run(command_line("prepare", changes)) == (0, "")
    train(Path(destdir), tmp_path / "run")


@pytest.mark.parametrize("change", ["grows", "shrinks", "is replaced", "vanishes"])
def test_text_that_changes_while_it_is_read_ends_in_one_line(
    world, finished, inject, monkeypatch, tmp_path, capfd, change
):
    inject()
    shutil.copytree("raw", tmp_path / "raw")
    changing = tmp_path / "raw" / "train.en"
    lines = changing.read_text(encoding="utf-8").splitlines(keepends=True)

    def change_and_clean(*args):
        if change == "vanishes":
            changing.unlink()
        else:
            now = {"grows": [*lines, "more\n"], "shrinks": lines[:99], "is replaced": lines[::-1]}
            changing.write_text("".join(now[change]), encoding="utf-8")
        return clean_in_parallel(*args)

    clean_in_parallel = translation.clean_in_parallel
    monkeypatch.setattr(translation, "clean_in_parallel", change_and_clean)
    code, line = run(
        command_line(
            "prepare",
            {"--train": str(tmp_path / "raw" / "train"), "--destdir": str(tmp_path / "bin")},
        )
    )
    expected = "No such file" if change == "vanishes" else "was changed while it was read"
    assert code == 1 and f"{changing}" in line and expected in line and line.isprintable()
    assert not capfd.readouterr().err and contents(world) == finished
