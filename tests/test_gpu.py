"""scripts/gpu.sh: its parts within their time, the tests of "right", the runs of "train"."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from .support.programs import calls, value, write_programs
from .support.warm import IN_ONE_PROCESS

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "scripts" / "gpu"))
part = import_module("part")
summary = import_module("summary")
right = import_module("right")
grid = import_module("grid")
measure = import_module("measure")
train = import_module("train")

# stands for the parts: what one does is in the variable of its name
PYTHON = f"""
    case $1 in
    *summary.py) exec {shlex.quote(sys.executable)} "$@" ;;
    -c) [[ $2 == *find_spec* ]] || exit "${{NO_GPU:-0}}" ;;
    *)
        part=${{1##*/}} part=${{part%.py}} output=$(option --output "$@")
        eval "${{!part:-}}"
        cp "$notes.well" "$output/$part.json"
        ;;
    esac"""
ALL = ["right", "loss", "step", "profile", "train"]


@pytest.fixture(autouse=True)
def logging_stays(monkeypatch):
    """A part that runs in this process does not switch logging off for later tests."""
    monkeypatch.setattr(measure, "silence", lambda: None)


@pytest.fixture
def start(tmp_path):
    """Start gpu.sh with programs in place of the parts → its process."""
    write_programs(tmp_path / "venv", python=PYTHON)
    well = {"date": "2026-11-27", "summary": ["well"]}
    (tmp_path / "venv" / "notes.well").write_text(json.dumps(well))

    def start(*arguments: str, **variables: str) -> subprocess.Popen:
        environment = {**os.environ, "VENV": str(tmp_path / "venv"), "GRACE": "1", **variables}
        return subprocess.Popen(
            ["bash", str(ROOT / "scripts" / "gpu.sh"), *arguments],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a shell that starts the tests in the background has them ignore it
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    return start


@pytest.fixture
def gpu(start):
    """Run gpu.sh to its end → its exit status, and what it printed on both streams."""

    def gpu(*arguments: str, **variables: str) -> tuple[int, str, str]:
        process = start(*arguments, **variables)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return gpu


# The command


@pytest.mark.parametrize(
    "arguments, refusal",
    [
        ("--output out wrong", "there is no part wrong: right loss step profile train"),
        ("--output out --fast", "there is no option --fast: --minutes M"),
        ("--output out --minutes 0", "--minutes 0 is no time: give 1 or more"),
        ("--output out --minutes=0.04", "--minutes 0.04 is no time"),
        ("--output out --minutes ten", "--minutes ten is no time"),
        ("--output out --minutes nan", "--minutes nan is no time"),
        ("--output out --minutes -3", "--minutes -3 is no time"),
        ("--output out --minutes", "--minutes needs a value"),
        ("--output out --minutes=", "--minutes needs a value"),
        ("--output out --text nowhere", "--text nowhere is no folder"),
        ("right", "name a folder for what is found: --output DIR"),
        ("--output file/out", "file/out cannot be made: name another folder"),
        ("--output file", "file cannot be made: name another folder"),
    ],
)
def test_what_cannot_be_is_refused_before_any_part(gpu, tmp_path, arguments, refusal):
    (tmp_path / "file").touch()
    status, out, err = gpu(*arguments.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("gpu.sh: ") and refusal in err
    assert not (tmp_path / "out").exists()


def test_without_a_gpu_there_is_only_a_tiny_run(gpu, tmp_path):
    status, out, err = gpu("--output", "out", NO_GPU="1")
    assert (status, out) == (2, "")
    assert err == ("gpu.sh: torch sees no GPU here; --tiny tries each part out on any machine\n")
    write_programs(tmp_path / "venv", python="exit 1", python3=PYTHON)  # the first has no torch
    assert gpu("loss", "--tiny", "--output", "out", NO_GPU="1")[0] == 0
    (call,) = calls(tmp_path / "venv", "python3", f"{ROOT}/scripts/gpu/loss.py")
    assert call[-1] == "--tiny"


@pytest.mark.parametrize(
    "arguments, seconds",
    [
        ("", {"right": 120, "loss": 60, "step": 180, "profile": 60, "train": 540}),
        ("--minutes 5", {"right": 40, "loss": 20, "step": 60, "profile": 20, "train": 160}),
        ("train right", {"right": 120, "train": 480}),
        ("loss loss", {"loss": 60}),
        ("loss --minutes 2.5", {"loss": 150}),
    ],
)
def test_each_part_has_its_share_of_the_time_and_train_the_rest(gpu, tmp_path, arguments, seconds):
    (tmp_path / "text of mine").mkdir()
    status, out, err = gpu(*arguments.split(), "--text", "text of mine", "--output", "out")
    assert status == 0, err
    made = [call for call in calls(tmp_path / "venv", "python") if call[1].startswith(str(ROOT))]
    *parts, last = made
    assert [Path(call[1]).stem for call in parts] == [name for name in ALL if name in seconds]
    for call in parts:
        name = Path(call[1]).stem
        given = int(value(call, "--seconds"))
        rest = 900 - 420 if name == "train" and not arguments else seconds[name]
        if name == "train":  # the others ended at once, and bash counts whole seconds
            total = {"": 900, "--minutes 5": 300, "train right": 600}[arguments]
            assert total - 5 <= given <= total and given >= rest
        else:
            assert given == seconds[name]
        assert value(call, "--output") == str(tmp_path / "out")
        assert ("--text" in call) == (name == "train")
    assert Path(last[1]).name == "summary.py"
    assert out.splitlines() == [f"{name}: well" for name in ALL if name in seconds]
    assert (tmp_path / "out" / "summary.txt").read_text() == out


def test_a_part_that_fails_stops_no_other(gpu, tmp_path):
    status, out, err = gpu(
        *("loss", "profile", "--output", "out"), loss="echo no memory >&2; echo is left; exit 3"
    )
    assert status == 1
    assert out.splitlines() == ["loss: failed with exit status 3: is left", "profile: well"]
    assert (tmp_path / "out" / "loss.log").read_text() == "no memory\nis left\n"
    assert [line.split(":")[0] for line in err.splitlines()] == ["== loss", "== profile"]


def test_a_part_is_cut_off_with_all_that_it_started(gpu, tmp_path):
    """It ignores SIGTERM, and so does what it has started."""
    hangs = """
        trap '' TERM
        echo '{"date": "2026-11-27", "summary": ["half of it"]}' >"$output/loss.json"
        sleep 60 &
        echo $! >"$output/child"
        wait
    """
    begin = time.monotonic()
    status, out, _ = gpu(*"loss step profile --minutes 0.1 --output out".split(), loss=hangs)
    assert status == 1 and time.monotonic() - begin < 15
    cut_off, half, *others = out.splitlines()
    assert cut_off == "loss: cut off at the time limit; loss.log says where it was"
    assert half == "loss: half of it"
    assert others == ["step: well", "profile: well"]
    assert not is_running(int((tmp_path / "out" / "child").read_text()))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_part_and_leaves_the_summary(start, tmp_path, name):
    ends = """
        trap 'echo stopped; exit 75' TERM
        echo '{"date": "2026-11-27", "summary": ["half of it"]}' >"$output/loss.json"
        while :; do sleep 0.1; done
    """
    process = start("loss", "step", "--output", "out", loss=ends)
    wait_for(tmp_path / "out" / "loss.json")
    process.send_signal(getattr(signal, name))
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 75
    assert out.splitlines() == ["loss: failed with exit status 75: stopped", "loss: half of it"]
    assert not (tmp_path / "out" / "step.log").exists()


def wait_for(path: Path) -> None:
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_running_again_replaces_the_parts_that_are_run(gpu, tmp_path):
    assert gpu("loss", "step", "--output", "out")[0] == 0
    status, out, _ = gpu("step", "--output", "out", step="exit 1")
    assert status == 1
    assert out.splitlines() == ["loss, 2026-11-27: well", "step: failed with exit status 1"]


def test_train_begins_only_if_time_is_left(gpu):
    status, out, _ = gpu(
        *"step train --minutes 0.1 --output out".split(), step="sleep 7", GRACE="9"
    )
    assert status == 1
    assert out.splitlines() == ["step: well", "train: cut off at the time limit before it began"]


# The summary


def test_the_summary_has_at_most_twenty_lines_and_some_of_each_part(tmp_path):
    machine = {"gpu": "H100", "processor": "x", "torch": "2.11"}
    for name, number in zip(ALL, (2, 30, 9, 1, 12)):
        lines = [f"{name} {i} " + "x" * 300 for i in range(number)]
        found = {"summary": lines, "date": "2026-11-27", "machine": machine}
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    first = summary.head(tmp_path)
    assert first == [f"H100, torch 2.11; the tables are {tmp_path}/PART.md"]
    parts = [summary.lines_of(name, 0, tmp_path) for name in ALL]
    lines = summary.shortened(parts, summary.MOST_LINES - 1)
    assert len(lines) == 19 and max(map(len, lines)) <= 200
    number = {name: sum(line.startswith(f"{name}:") for line in lines) for name in ALL}
    assert number == {"right": 2, "loss": 5, "step": 5, "profile": 1, "train": 6}


def test_a_part_that_says_what_failed_is_not_said_to_have_failed(tmp_path):
    found = {"summary": ["3 tests passed, 1 failed", "a: why"], "failures": ["a: why"]}
    (tmp_path / "right.json").write_text(json.dumps(found))
    lines = ["right: 3 tests passed, 1 failed", "right: a: why"]
    assert summary.lines_of("right", 1, tmp_path) == lines


@pytest.mark.parametrize("content", [None, "", '{"summ'])
def test_a_part_that_left_nothing_is_a_line(tmp_path, content):
    if content is not None:
        (tmp_path / "loss.json").write_text(content)
    assert summary.lines_of("loss", 0, tmp_path) == ["loss: found nothing"]
    assert summary.lines_of("loss", None, tmp_path) == []


# The part right

STRANGE = """
import os, pathlib, time, pytest

def test_passes(): pass
def test_fails(): assert 1 == 2, "two lines\\nof it"
@pytest.mark.skip(reason="not here")
def test_is_skipped(): pass
def test_hangs(): time.sleep(60)  # as a call of C would, in which Python handles no signal
def test_after_it_hung(): pass
def test_dies(): os._exit(5)
def test_breaks_cuda(): raise RuntimeError("CUDA error: an illegal memory access")
@pytest.mark.parametrize("number", range(20))
def test_others(number):
    with open(pathlib.Path(__file__).with_name("done"), "a") as file:
        file.write(f"{number}\\n")
"""


def test_strange_tests_cost_no_other_test_its_result(tmp_path):
    strange, folder = tmp_path / "test_strange.py", tmp_path / "shared"
    folder.mkdir()
    strange.write_text(STRANGE)
    (tmp_path / "test_broken.py").write_text("import no_such_module\n")
    paths = [str(tmp_path / "test_broken.py"), str(strange)]
    tests = right.Tests([*paths, "-c", os.devnull], 2, folder, limit=3.0)
    try:
        until = time.monotonic() + 60
        while tests.follow():
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        tests.stop()
    outcomes = {
        name.rpartition("::")[2]: (result["outcome"], result["why"])
        for name, result in tests.results.items()
    }
    died = "the process ended with status {}, or took longer than 3 s"
    assert outcomes.pop("test_hangs") == ("failed", died.format(1))
    assert outcomes.pop("test_dies") == ("failed", died.format(5))
    assert outcomes.pop("test_fails") == ("failed", "AssertionError: two lines")
    cuda = "RuntimeError: CUDA error: an illegal memory access"
    assert outcomes.pop("test_breaks_cuda") == ("failed", cuda)
    assert outcomes.pop("test_is_skipped") == ("skipped", "not here")
    (broken,) = (name for name in outcomes if name.endswith("test_broken.py"))
    assert "no_such_module" in outcomes.pop(broken)[1]
    assert set(outcomes.values()) == {("passed", "")} and len(outcomes) == 22
    assert len(tests.found) == 27
    assert tests.started >= 4  # two, and one for each that had to end
    done = (tmp_path / "done").read_text().split()
    assert sorted(map(int, done)) == [*range(20)]  # none twice


def test_pytest_that_does_not_start_is_a_failure(tmp_path):
    tests = right.Tests(["--no-such-option", str(tmp_path)], 1, tmp_path, limit=3.0)
    while tests.follow():
        time.sleep(0.05)
    assert tests.results["pytest"]["why"] == "pytest ended with status 4 before any test"


def test_every_test_that_needs_a_gpu_is_run(request):
    """Of those that are collected here: all of them, where the whole suite is run."""
    files = right.files_with_gpu_tests()
    marked = {item.path for item in request.session.items if item.get_closest_marker("gpu")}
    assert {str(path.relative_to(ROOT)) for path in marked} <= set(files)
    assert files[0].startswith("tests/core/") and files[-1] == "tests/test_devices.py"
    assert str(Path(__file__).relative_to(ROOT)) not in files


class Forked:
    """A process of pytest that is a fork of this one: without the seconds of a new interpreter."""

    def __init__(self, command: list[str]) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setpgid(0, 0)
            os.chdir(ROOT)
            os._exit(pytest.main(command[command.index("-m") + 2 :]))

    def wait(self) -> None:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def poll(self) -> int | None:
        pid, status = (0, 0) if self.returncode is not None else os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


@pytest.fixture
def arguments(monkeypatch, tmp_path):
    """The arguments of a part that begins now, and has a minute."""
    monkeypatch.setattr(part.start, "TIME", time.monotonic())
    options = ["--output", str(tmp_path / "out"), "--seconds", "300", "--tiny"]
    monkeypatch.setattr(sys, "argv", ["part.py", *options])
    return tmp_path / "out"


def test_right_runs_a_few_tests_of_the_suite(arguments, monkeypatch):
    monkeypatch.setattr(right, "start_process", Forked)
    assert right.main() == 0
    found = json.loads((arguments / "right.json").read_text())
    assert found["found"] == len(found["results"]) == 4
    (line,) = found["summary"]
    assert line.startswith("4 tests passed, 0 failed: ")
    assert "| tests/test_devices.py | 1 | 0 | 0 |" in (arguments / "right.md").read_text()


def test_what_became_of_the_tests_in_a_few_lines():
    results = {f"a.py::{i}": {"outcome": "passed", "why": "", "seconds": 1.0} for i in range(3)}
    results["b.py::x"] = {"outcome": "skipped", "why": "no such tool", "seconds": 0.0}
    results["b.py::y"] = {"outcome": "failed", "why": "1 != 2", "seconds": 9.0}
    found = right.describe({"results": results, "found": 9, "seconds": 7.4, "processes": 3})
    assert found.summary == [
        "3 tests passed, 1 failed, 1 skipped, 4 of 9 not run for want of time: 7 s, 3 at a time",
        "skipped: no such tool (1)",
    ]
    files, slowest = found.tables
    assert files.rows == [["a.py", "3", "0", "0"], ["b.py", "0", "1", "1"]]
    assert slowest.rows[0] == ["b.py::y", "9.0"]
    assert right.describe({}).summary == ["no test has ended"]


# The part train


def test_the_most_telling_runs_come_first():
    runs = grid.order(["a", "b", "c"], [1, 2])
    assert runs[:4] == [("a", system, 1) for system in grid.SYSTEMS]
    assert runs[4:8] == [(p, s, 1) for p in "bc" for s in ("transformer", "intra_x")]
    assert {seed for _, _, seed in runs[:12]} == {1} and {seed for _, _, seed in runs[12:]} == {2}
    assert len(runs) == len(set(runs)) == 24


def run_at(pair: str, system: str, *points: tuple[float, int], state: str = "running") -> grid.Run:
    process = object() if state == "running" else None
    return grid.Run(pair, system, 1, Path("none"), state, process, points=[*points])


@pytest.fixture
def full() -> grid.Grid:
    """A first wave at 10 updates a second of 1,000, and another pair's runs."""
    points = [(0.0, 100), (10.0, 200), (20.0, 300)]
    first = [run_at("a", system, *points) for system in grid.SYSTEMS]
    later = [run_at("b", system, state="waiting") for system in ("transformer", "intra_x")]
    made = grid.Grid("none", [*first, *later], Path("none"), 1000, 8, None, {})
    made.for_evaluation = 10.0
    return made


@pytest.mark.parametrize("left, fits", [(161, True), (159, False)])
def test_a_run_begins_if_it_ends_in_time_on_a_card_that_is_full(full, left, fits):
    """Start 20 s, 100 s of updates, and both a fifth slower among five runs; evaluation 10 s."""
    assert full.fits(full.runs[4], left) == fits


def test_a_run_waits_until_the_others_are_measured(full):
    full.runs[1].points = [(0.0, 100)]
    assert not full.fits(full.runs[4], 9999)
    assert full.fits(full.runs[1], 0)  # as the first wave itself does not
    for run in full.first_wave:  # of an earlier call
        run.process, run.points = None, [(0.0, 1000)]
    assert full.fits(full.runs[4], 0)


def test_a_run_at_its_evaluation_takes_no_time_of_the_card(full):
    for run in full.runs[1:4]:
        run.points.append((30.0, 1000))
    assert full.fits(full.runs[4], 2 * 120 + 10 + 1)
    assert not full.fits(full.runs[4], 2 * 120 + 10 - 1)


def test_a_speed_is_that_of_late(tmp_path):
    run = run_at("a", "intra_x", (0.0, 100), (100.0, 200), (110.0, 400), (120.0, 600))
    assert run.speed() == pytest.approx(20)
    assert run_at("a", "intra_x", (0.0, 100), (100.0, 200)).speed() == pytest.approx(1)
    assert run_at("a", "intra_x", (0.0, 100)).speed() is None
    run = grid.Run("a", "intra_x", 1, tmp_path)
    run.look()
    assert run.updates == 0
    (tmp_path / "train.log").write_text("x, num_updates=100, lr\nx num_updates=200, lr\n")
    run.look(), run.look()
    assert run.updates == 200 and len(run.points) == 1


# stands for a training: some updates in its log, which take their time; SIGTERM ends it with 75
TRAINING = """
    trap 'exit 75' TERM
    save=$(option --save-dir "$@")
    [[ $save != *"${FAILS:-nothing}"* ]] || { echo it broke; exit 1; }
    touch "$save/checkpoint_best.pt"
    for update in 1 2 3 4; do
        echo "num_updates=$update,"
        for ((i = 0; i < ${SLOW:-1}; i++)); do sleep 0.1; done
    done
"""
DATA = """case $1 in
    args) echo "--max-update 4" ;;
    prepare) [[ $(option --source-lang "$@") != "${NO_DATA:-}" ]] || { echo no text; exit 1; } ;;
    evaluate)
        results=$(option --results-path "$@")
        mkdir -p "$results"
        echo '{"scores": {"BLEU": 30.5}}' >"$results/test.json"
        ;;
    table) printf '| System | de-en |\\n| --- | ---: |\\n| transformer | 30.5 |\\n- a note\\n' ;;
    esac"""


@pytest.fixture
def trained(arguments, tmp_path, monkeypatch):
    """Run the part train with programs in place of those that compute → its status and figures."""
    write_programs(tmp_path / "venv", **{"fairseq-train": TRAINING, "intra-distill": DATA})
    monkeypatch.setenv("VENV", str(tmp_path / "venv"))
    config = OmegaConf.create({"optimization": {"max_update": 4}})
    monkeypatch.setattr(OmegaConf, "load", lambda _: config)
    monkeypatch.setattr(train, "SEEDS", [1])
    monkeypatch.setattr(train, "PAIRS", ["de-en", "fr-en", "cs-en"])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16))
    monkeypatch.setattr(grid, "FOR_START", 0)
    monkeypatch.setattr(grid, "FOR_EVALUATION", 2)

    def trained(seconds: int, **variables: str) -> tuple[int, dict]:
        for name, text in variables.items():
            monkeypatch.setenv(name, text)
        args = argparse.Namespace(
            output=arguments, seconds=seconds, tiny=False, device="cpu", text="text"
        )
        arguments.mkdir(exist_ok=True)
        monkeypatch.setattr(part, "parse", lambda *_: args)
        monkeypatch.setattr(part.start, "TIME", time.monotonic())
        status = train.main()
        return status, json.loads((arguments / "train.json").read_text())

    return trained


def states(found: dict) -> dict[str, str]:
    return {f"{run['pair']} {run['system']}": run["state"] for run in found["runs"]}


def test_train_makes_all_runs_that_it_can_and_a_table(trained, tmp_path, arguments):
    status, found = trained(90, NO_DATA="cs", FAILS="de-en/r_drop")
    assert status == 1
    of_pairs = {pair: [f"{pair} {system}" for system in grid.SYSTEMS] for pair in train.PAIRS}
    expected = dict.fromkeys(of_pairs["de-en"] + of_pairs["fr-en"], "done")
    expected |= {"de-en r_drop": "failed"} | dict.fromkeys(of_pairs["cs-en"], "no data")
    assert states(found) == expected
    assert found["failures"] == ["no data of cs-en: no text", "de-en r_drop, seed 1: it broke"]
    assert found["summary"] == [
        "7 runs are scored, on de-en, fr-en",
        "BLEU on de-en: transformer 30.5, intra_js 30.5 (+0.0), intra_x 30.5 (+0.0)",
        "BLEU on average of 2 pairs: transformer 30.5, intra_x 30.5 (+0.0)",
        *found["failures"],
    ]
    assert found["table"] == [["System", "de-en"], ["transformer", "30.5"]]
    assert "| transformer | 30.5 |" in (arguments / "train.md").read_text()
    (shown,) = calls(tmp_path / "venv", "intra-distill", "table")
    assert value(shown, "--systems") == "transformer,r_drop,intra_js,intra_x"
    assert value(shown, "--datasets") == "de-en,fr-en"
    first = {value(call, "--save-dir") for call in calls(tmp_path / "venv", "fairseq-train")[:4]}
    assert first == {f"{arguments}/train/runs/de-en/{s}/seed1" for s in grid.SYSTEMS}

    before = len(calls(tmp_path / "venv", "fairseq-train"))
    assert trained(90, NO_DATA="", FAILS="de-en/r_drop")[0] == 1
    assert len(calls(tmp_path / "venv", "fairseq-train")) == before + 1 + 4  # what was left


def test_what_is_not_done_in_time_is_stopped_and_evaluated_as_far_as_it_is(trained, tmp_path):
    begin = time.monotonic()
    status, found = trained(20, SLOW="1000")
    assert status == 0 and time.monotonic() - begin < 20
    stopped = {f"de-en {system}": "stopped, evaluated" for system in grid.SYSTEMS}
    assert states(found) == stopped
    assert all(run["updates"] == 1 and run["scores"] for run in found["runs"])
    assert found["summary"][1] == (
        "not comparable, stopped before update 4: transformer 1, r_drop 1, intra_js 1, intra_x 1"
    )
    assert found["table"]


@IN_ONE_PROCESS
def test_train_from_made_up_text_to_a_table(arguments, warm, monkeypatch, capsys):
    monkeypatch.setenv("VENV", warm)
    monkeypatch.setenv("PATH", f"{warm}/bin:{os.environ['PATH']}")
    for module in (grid, train):
        monkeypatch.setattr(module, "SYSTEMS", [grid.PLAIN, grid.OURS])
    assert train.main() == 0, capsys.readouterr().err
    found = json.loads((arguments / "train.json").read_text())
    assert states(found) == {"de-en transformer": "done", "de-en intra_x": "done"}
    assert all(run["updates"] == 4 for run in found["runs"])
    assert [row[0] for row in found["table"]] == ["System", "transformer", "intra_x"]
