"""Tools killed at random.

A command that is killed again and again, at any of its file operations or at any time, and started
again ends with the files of one that nobody disturbed; what has its name by then is whole. A disk
that is full ends it with one line, and earlier results stay.
"""

import contextlib
import mmap
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from multiprocessing import forkserver
from pathlib import Path

import pytest

from intra_distill.cli import main
from intra_distill.errors import one_line
from intra_distill.tools.scoring import translations
from intra_distill.tools.scoring.search import Translation

from ..support.checkpoints import train_model
from ..support.corpora import IWSLT14_PAIRS, write_iwslt14_release
from ..support.glue import write_bert, write_glue
from ..support.labelled import CLASSES, make_labelled, train_predictor
from ..support.questions import write_questions_folder
from ..support.server import serve
from ..support.tagged import panx_zip, write_raw
from ..support.text import toy_pairs, write_pairs
from ..support.xlmr import write_xlmr

ROOT = Path(__file__).parents[2]
OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
UNFINISHED = (".tmp", ".part", "scratch.pt", ".lock")
Tool = Callable[[Path, int], list[str]]


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder, but for the lock that a download leaves."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def finished(files: dict[str, bytes]) -> dict[str, bytes]:
    """Those that have their names."""
    return {
        name: content
        for name, content in files.items()
        if not (name.startswith((".partial/", ".add-test/")) or name.endswith(UNFINISHED))
    }


def run(command: list[str], before: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """A command in a fork → its exit code, or minus the signal it died by, and its last words."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        words, status = "", 2
        try:
            with (
                open(os.devnull, "w") as null,
                contextlib.redirect_stdout(null),
                contextlib.redirect_stderr(null),
            ):
                forkserver._forkserver.__init__()  # this process has none yet
                before()
                main(command)
            status = 0
        except SystemExit as end:
            words, status = str(end.code), 1
        except BaseException:
            words = traceback.format_exc()
        finally:
            os.write(writing, words.encode()[-50_000:])
            os._exit(status)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        words = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), words


def count_operations(counter: mmap.mmap, fatal: int = 0) -> None:
    """Count this process' file operations from here on; it dies before the one that is fatal."""
    counter[:] = bytes(8)

    def count(event: str, arguments: tuple) -> None:
        if event in OPERATIONS and (event != "open" or is_writing(arguments)):
            number = int.from_bytes(counter[:], "little") + 1
            counter[:] = number.to_bytes(8, "little")
            if number == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def is_writing(arguments: tuple) -> bool:
    return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))


@pytest.fixture(scope="module")
def checkpoints(prepared, tmp_path_factory) -> list[Path]:
    """Of a run, at its first updates."""
    folder = tmp_path_factory.mktemp("runs") / "plain"
    for updates in (1, 2):
        last = train_model(prepared, folder, updates, "--task", "translation")
        shutil.copy(last, folder / f"checkpoint_1_{updates}.pt")
    last.unlink()
    return sorted(folder.glob("*.pt"))


@pytest.fixture(scope="module")
def scores(prepared, checkpoints, tmp_path_factory) -> Path:
    """A file of scores. On the way to it this process imports and composes for all its forks."""
    folder = tmp_path_factory.mktemp("sensitivity")
    main([*sensitivity(prepared, checkpoints[-1], folder, 1), "--plot", str(folder / "x.png")])
    main(evaluate(prepared, checkpoints[-1], tmp_path_factory.mktemp("evaluated"), 1))
    return folder / "plain.sensitivity.pt"


def evaluate(data: Path, checkpoint: Path, folder: Path | str, beam: int | str) -> list[str]:
    command = f"evaluate {data} --path {checkpoint} --beam {beam} --results-path {folder} --cpu"
    return command.split()


def sensitivity(data: Path, checkpoint: Path, folder: Path | str, seed: int | str) -> list[str]:
    command = f"sensitivity {data} --path {checkpoint} --results-path {folder} --cpu"
    return f"{command} --batches 1 --seed {seed}".split()


@pytest.fixture(scope="module")
def tools(prepared, checkpoints, scores, tmp_path_factory):
    """Each tool's command line for a folder, and for a number that changes its results."""
    raw = tmp_path_factory.mktemp("raw")
    sizes = {"train": 60, "valid": 5, "test": 5, "new2": 4, "new3": 4}
    for seed, (split, number) in enumerate(sizes.items()):
        write_pairs(raw / split, toy_pairs(number, seed))
    release = tmp_path_factory.mktemp("release")
    write_iwslt14_release(release, IWSLT14_PAIRS[1:2])
    bert = write_bert(raw / "bert")
    glue = write_glue(raw / "glue", "rte")
    questions, xlmr = write_questions_folder(raw / "questions"), write_xlmr(raw / "xlmr")
    panx = raw / "panx.zip"
    panx.write_bytes(panx_zip())
    tagged = write_raw(raw / "tagged")
    labelled = make_labelled(raw / "labelled", "mrpc", CLASSES, ("F1",))
    predictor = train_predictor(labelled, raw / "predictor", 1)
    first, last = checkpoints
    texts = f"--train {raw}/train --valid {raw}/valid --test {raw}/test"
    with serve(release) as served:
        commands = {
            "prepare": f"prepare --source-lang de --target-lang en {texts} --vocab-size 6{{n}} "
            "--workers 1 --destdir {folder}",
            "download": f"iwslt14 --pair de-en --source {served.url}2014-01.tgz "
            "--destdir {folder}",
            "glue": f"glue --task rte --bert {bert} --source {glue} --max-length 1{{n}} "
            "--destdir {folder}",
            "prepare-spans": f"prepare-spans {questions} --xlmr {xlmr} --max-length 10{{n}} "
            "--doc-stride 32 --destdir {folder}",
            "panx": f"panx --languages de,ar --source {panx} --destdir {{folder}}",
            "prepare-tags": f"prepare-tags {tagged} --xlmr {xlmr} --max-length 1{{n}} "
            "--destdir {folder}",
            "add-test": f"add-test {{folder}} --test {raw}/new{{n}}",
            "evaluate": " ".join(evaluate(prepared, last, "{folder}", "{n}")),
            "evaluate, labels": f"evaluate {labelled} --path {predictor} --gen-subset valid,test "
            "--name system{n} --results-path {folder} --cpu",
            "prune": f"prune {prepared} --path {last} --sensitivity {scores} --ratios 0.{{n}} "
            "--beam {n} --results-path {folder} --cpu",
            "prune, kept": f"prune {prepared} --path {last} --order magnitude --ratios 0.{{n}} "
            "--write-checkpoint --results-path {folder} --cpu",
            "sensitivity": " ".join(sensitivity(prepared, last, "{folder}", "{n}")),
            "average": f"average --inputs {first} {last} --output {{folder}}/average.pt",
            "export": f"export {last} --license no{{n}} --output-dir {{folder}}",
        }
        yield {
            name: lambda folder, n, command=command: command.format(folder=folder, n=n).split()
            for name, command in commands.items()
        }


TOOLS = [
    "prepare",
    "download",
    "glue",
    "prepare-spans",
    "panx",
    "prepare-tags",
    "add-test",
    "evaluate",
    "evaluate, labels",
    "prune",
    "prune, kept",
    "sensitivity",
    "average",
    pytest.param(
        "export",
        marks=pytest.mark.skipif(not find_spec("ctranslate2"), reason="an optional package"),
    ),
]


@pytest.fixture(autouse=True)
def no_search(monkeypatch):
    monkeypatch.setattr(
        translations, "translate", lambda _, n, grows: Translation(["a man"] * n, 0, 0)
    )


@pytest.fixture(params=TOOLS)
def tool(request, tools) -> Tool:
    return tools[request.param]


@pytest.fixture
def start(request, prepared, tmp_path) -> Path:
    """What is in a tool's folder before it begins: mostly nothing."""
    if "add-test" in request.node.name:
        return prepared
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.fixture
def renew(start) -> Callable[[Path], None]:
    """Give a folder the content that its tool begins with."""

    def renew(folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(start, folder)

    return renew


@pytest.fixture
def undisturbed(tool, renew, tmp_path) -> Callable[[int], tuple[list[str], Path, dict, int, float]]:
    """n → command, its new folder, what would be there, its file operations, its seconds."""

    def undisturbed(n: int = 2):
        folder, counter = tmp_path / "results", mmap.mmap(-1, 8)
        command = tool(folder, n)
        renew(folder)
        start = time.monotonic()
        assert run(command, lambda: count_operations(counter)) == (0, "")
        seconds = time.monotonic() - start
        expected = contents(folder)
        assert finished(expected) == expected  # no temporary file survives a finished run
        renew(folder)
        return command, folder, expected, int.from_bytes(counter[:], "little"), seconds

    return undisturbed


def check(folder: Path, expected: dict[str, bytes]) -> None:
    """What has its name is whole."""
    assert finished(contents(folder)).items() <= expected.items()


@pytest.fixture
def kill_again_and_again(renew, inject) -> Callable[..., None]:
    """Run a command until it was killed so often, anew after each end; then to its end.

    ``draw`` gives the next way to die, to be called in the child; ``number`` is what it dies by.
    """

    def kill(command, folder, expected, kills: int, number: int, draw: Callable) -> None:
        while kills:
            status, words = run(command, draw())
            if status == -number:
                inject()
                kills -= 1
                check(folder, expected)
                continue
            assert (status, words) == (0, "")
            assert contents(folder) == expected
            renew(folder)
        assert run(command) == (0, "")
        assert contents(folder) == expected

    return kill


def test_killed_at_random_file_operations(undisturbed, kill_again_and_again, times):
    command, folder, expected, operations, _ = undisturbed()
    counter, moments = mmap.mmap(-1, 8), random.Random(1)

    def draw() -> Callable[[], None]:
        return partial(count_operations, counter, moments.randint(1, operations))

    kill_again_and_again(command, folder, expected, times(2, 40), signal.SIGKILL, draw)


def test_killed_at_each_of_the_last_operations(undisturbed, renew, inject, times):
    """Where results get their names and temporary files are removed."""
    command, folder, expected, operations, _ = undisturbed()
    counter = mmap.mmap(-1, 8)
    for fatal in range(operations, max(0, operations - times(2, 30)), -1):
        killed, _ = run(command, lambda: count_operations(counter, fatal))
        assert killed == -signal.SIGKILL
        inject()
        check(folder, expected)
        # and the next run as it begins
        if run(command, lambda: count_operations(counter, 2))[0] == -signal.SIGKILL:
            inject()
            check(folder, expected)
        assert run(command) == (0, "")
        assert contents(folder) == expected
        renew(folder)


def test_killed_at_random_times(undisturbed, kill_again_and_again, times):
    command, folder, expected, _, seconds = undisturbed()
    moments = random.Random(2)

    def die(delay: float) -> None:
        # the default of SIGALRM kills as surely as SIGKILL, and the kernel sends it at any moment
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, max(delay, 0.001))

    def draw() -> Callable[[], None]:
        return partial(die, moments.uniform(0, seconds))

    kill_again_and_again(command, folder, expected, times(2, 30), signal.SIGALRM, draw)


def test_a_full_disk_is_one_line_and_loses_nothing(
    undisturbed, tool, start, inject, long_version, request
):
    command, folder, expected, _, _ = undisturbed()
    earlier = contents(start)
    largest = max(len(expected[name]) for name in expected.keys() - earlier.keys())
    only_once = ("prepare", "download", "glue", "panx", "add-test", "export")
    if not any(name in request.node.name for name in only_once):
        assert run(tool(folder, 3)) == (0, "")
        earlier = contents(folder)
    if "average" in request.node.name:
        shutil.copy(folder / "average.pt", folder / "older.pt")
        (folder / "average.pt").write_bytes(b"an earlier result")
        earlier = contents(folder)
    for share in (0, 0.02, 0.3, 0.9) if long_version else (0.1,):
        limit = int(share * largest), resource.RLIM_INFINITY
        status, words = run(command, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
        assert status == 1, words
        assert words == one_line(words) and "File too large" in words
        inject()
        left = contents(folder)
        assert not [name for name in left if name.endswith(".tmp")]
        for name, content in finished(left).items():
            assert content in (earlier.get(name), expected.get(name))
        assert finished(earlier).keys() <= left.keys()
    assert run(command) == (0, "")
    assert {name: contents(folder)[name] for name in expected} == expected


def test_killed_before_a_pruned_model_is_removed(tools, tmp_path, inject):
    def die_removing_it(event: str, arguments: tuple) -> None:
        if event == "os.remove" and str(arguments[0]).endswith("scratch.pt"):
            os.kill(os.getpid(), signal.SIGKILL)

    command = tools["prune"](tmp_path / "results", 2)
    assert run(command, lambda: sys.addaudithook(die_removing_it))[0] == -signal.SIGKILL
    inject()
    assert list(tmp_path.rglob("scratch.pt"))
    assert run(command) == (0, "")
    assert not list(tmp_path.rglob("scratch.pt"))


# A grid of runs


TRAIN = r"""#!/usr/bin/env bash
# Stands for fairseq-train: five updates, a checkpoint each, and it resumes
while [[ $1 != --save-dir ]]; do shift; done
last=$2/checkpoint_last.pt
updates=$(cat "$last" 2>/dev/null || echo 0)
while ((updates < 5)); do
    sleep 0.02
    echo $((updates += 1)) >"$last.new" && mv "$last.new" "$last"
    echo "update $updates"
done
cp "$last" "$2/best.new" && mv "$2/best.new" "$2/checkpoint_best.pt"
"""
TOOL = r"""#!/usr/bin/env bash
# Stands for intra-distill
option() { # OPTION ARGUMENT… → its value
    local name=$1
    shift
    while [[ $1 != "$name" ]]; do shift; done
    echo "$2"
}
write() { # FILE TEXT
    sleep 0.02
    echo "$2" >"$1.tmp" && mv "$1.tmp" "$1"
}
case $1 in
args) echo --option ;;
prepare)
    mkdir -p "$(option --destdir "$@")"
    write "$(option --destdir "$@")/prepare.json" data
    ;;
evaluate) write "$(option --results-path "$@")/test.json" \
    "$(option --name "$@") after $(cat "$(option --path "$@")")" ;;
table) write "$(option --csv "$@")" table && write "$(option --plot "$@")" picture ;;
esac
"""
LOGS = {"run.log", "train.log", "lock"}


@pytest.fixture
def grid(tmp_path) -> Callable[..., subprocess.Popen]:
    """Start the grid of the recipe multi30k, with programs in place of all that compute."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in {"fairseq-train": TRAIN, "intra-distill": TOOL}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def start(runs: Path) -> subprocess.Popen:
        environment = {
            **os.environ,
            "VENV": str(programs.parent),
            "RUNS": str(runs),
            "DATA": str(runs / "data"),
            "SYSTEMS": "transformer intra_x",
            "DATASETS": "de-en",
            "SEEDS": "1 2",
            "JOBS": "2",
        }
        command = ["bash", str(ROOT / "scripts" / "grid.sh"), "multi30k", "/nowhere"]
        return subprocess.Popen(
            command,
            env=environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def results(runs: Path) -> dict[str, bytes]:
    return {k: v for k, v in contents(runs).items() if Path(k).name not in LOGS}


def test_a_grid_that_is_killed_goes_on(grid, tmp_path, inject, times):
    start = time.monotonic()
    whole = grid(tmp_path / "whole")
    assert whole.communicate()[0] is not None and whole.returncode == 0
    seconds = time.monotonic() - start
    expected = results(tmp_path / "whole")
    assert len([name for name in expected if name.endswith("trained")]) == 4

    moments, kills, runs = random.Random(3), 0, tmp_path / "killed"
    while kills < times(6, 60):
        process = grid(runs)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=moments.uniform(0, seconds))
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            inject()
            kills += 1
            for name, content in results(runs).items():
                if name.endswith((".json", "trained", "checkpoint_best.pt")):
                    assert content == expected[name]
            continue
        assert process.returncode == 0 and results(runs) == expected
        shutil.rmtree(runs)
    process = grid(runs)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert results(runs) == expected


def test_a_grid_names_a_run_that_cannot_be_written(grid, tmp_path, inject):
    runs = tmp_path / "runs"
    assert grid(runs).wait() == 0
    before = results(runs)
    shutil.rmtree(runs / "de-en/intra_x")
    (runs / "de-en/intra_x").write_text("")  # where nothing can be written
    process = grid(runs)
    output = process.communicate()[0]
    assert process.returncode != 0
    inject()
    assert "no result: " in output and "intra_x/seed1" in output
    kept = {k: v for k, v in before.items() if not k.startswith("de-en/intra_x")}
    assert {k: v for k, v in results(runs).items() if k in kept} == kept
