import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.options import get_generation_parser, parse_args_and_arch
from fairseq.tasks import FairseqTask
from fairseq.trainer import Trainer
from fairseq_cli import generate
from fairseq_cli import train as fairseq_train

from intra_distill.patches import interruption
from intra_distill.patches.interruption import STOPPED

from .support.forked import (
    assert_same_end,
    end_of,
    interrupt,
    read_log,
    sigterm,
    start_training,
    train,
    updates,
)
from .support.training import CONFIGS, SMOOTHED, TINY_TRANSFORMER, USER_DIR, run_training

ROOT = Path(__file__).parents[1]
# any task and criterion will do; an epoch has 19 updates
RUN = [
    *["--criterion", "label_smoothed_cross_entropy", *SMOOTHED],
    *"--log-format json --log-interval 4 --save-interval-updates 5 --no-epoch-checkpoints".split(),
]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.pt")}


# The end of a run


@pytest.mark.parametrize(
    "end",
    [["--max-update", "7"], ["--lr", "0", "--patience", "2"]],
    ids=["max-update", "patience"],
)
def test_a_finished_run_that_is_started_again_is_left_alone(end, configure, tmp_path):
    cfg = configure(*RUN, *end)
    run_training(cfg)
    finished = contents(tmp_path / "checkpoints")
    run_training(cfg)
    assert contents(tmp_path / "checkpoints") == finished


def test_patience_goes_on_counting_unless_meters_are_reset(configure, tmp_path):
    run = [*RUN, "--lr", "0", "--patience", "9", "--max-update", "12"]
    run_training(configure(*run))
    counted = dict(vars(fairseq_train.should_stop_early))
    assert counted["num_runs"] == 2  # validated at 5, 10 and 12
    run_training(configure(*run))
    assert vars(fairseq_train.should_stop_early) == counted
    run_training(configure(*run, "--reset-meters"))
    assert vars(fairseq_train.should_stop_early) == {}


def test_a_run_without_optimizer_state_is_left_alone(configure, tmp_path):
    """fairseq would train it from update 0 over its own checkpoint."""
    folder = tmp_path / "checkpoints"
    run = [*RUN, "--no-save-optimizer-state", "--max-update", "7"]
    assert train(configure(*run)) == 0
    finished = contents(folder)
    assert train(configure(*run)) == 0
    assert "the run is finished: nothing to train" in (folder / "log").read_text()
    assert contents(folder) == finished

    further = [*run, "--max-update", "12"]
    assert train(configure(*further)) == 1
    refusal = (folder / "log").read_text().splitlines()[-1]
    assert refusal.startswith(f"intra_distill: the run in {folder} cannot resume after update 7: ")
    assert contents(folder) == finished
    assert train(configure(*further, "--reset-optimizer")) == 0
    assert updates(folder) == 12
    elsewhere = str(tmp_path / "elsewhere")
    tuned = ["--finetune-from-model", str(folder / "checkpoint_best.pt"), "--save-dir", elsewhere]
    assert train(configure(*run, *tuned)) == 0


def test_a_run_from_anothers_checkpoint_resumes_as_itself(configure, tmp_path):
    """Its batches are those of the epoch that it began in, also after it was killed."""
    folders = {name: tmp_path / name for name in ("first", "whole", "killed")}

    def configured(name: str, *options: str):
        return configure(*RUN, *options, "--save-dir", str(folders[name]))

    assert train(configured("first", "--max-epoch", "2", "--max-update", "0")) == 0
    start = ["--restore-file", str(folders["first"] / "checkpoint_last.pt")]
    assert train(configured("whole", *start, "--max-update", "62")) == 0
    cfg = configured("killed", *start, "--max-update", "62")
    for update in (48, 59):  # in its first epoch, and in the next
        die = partial(interrupt, update=update, do=lambda: os.kill(os.getpid(), signal.SIGKILL))
        assert train(cfg, die) == -signal.SIGKILL
        cfg = configured("killed", "--max-update", "62")
    assert train(cfg) == 0
    assert updates(folders["whole"]) == 62
    assert_same_end(folders["killed"], folders["whole"])


def test_a_name_with_brackets_locks_no_run_out(configure, data, tmp_path):
    """Text of the form of a call, where fairseq evaluates none."""
    folder = tmp_path / "runs (1)"
    names = ["--log-file", str(tmp_path / "log (1).txt"), "--wandb-project", "de-en (v2)"]
    names += ["--tensorboard-logdir", str(tmp_path / "board (1)"), "--save-dir", str(folder)]
    embedding = tmp_path / "embed (1).txt"
    embedding.write_text("1 16\na " + " ".join(["0.1"] * 16) + "\n")
    names += ["--encoder-embed-path", str(embedding)]
    run = [*RUN, *names, "--max-update", "3"]
    assert train(configure(*run)) == 0
    assert train(configure(*run, "--max-update", "5")) == 0
    assert updates(folder) == 5
    best = str(folder / "checkpoint_best.pt")
    arguments = [data, "--path", best, "--user-dir", USER_DIR, "--cpu", "--max-len-b", "5"]
    args = parse_args_and_arch(get_generation_parser(), arguments)
    generate.main(convert_namespace_to_omegaconf(args))


def test_jobs_of_a_sweep_count_for_themselves(data, tmp_path):
    """The first one stops early; the second one trains as it does alone."""
    config = CONFIGS / "multi30k" / "transformer.yaml"
    common = {
        **{"common.user_dir": USER_DIR, "common.cpu": "true", "task.data": data},
        **{"task.source_lang": "de", "task.target_lang": "en"},
        **{"checkpoint.patience": 1, "checkpoint.save_interval_updates": 2},
        **{"optimization.max_update": 6, "dataset.max_tokens": 80, "dataset.num_workers": 0},
        **{"checkpoint.save_dir": "checkpoints", "hydra.sweep.dir": tmp_path / "sweep"},
        "hydra.run.dir": tmp_path / "alone",
    }
    command = [sys.executable, "-m", "fairseq_cli.hydra_train", "--config-dir", config.parent]
    command += ["--config-name", config.stem]
    values = [f"{key}={value}" for key, value in common.items()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for options in (["-m", "optimization.lr=[0.0],[0.001]"], ["optimization.lr=[0.001]"]):
        subprocess.run(
            [*command, *options, *values], env=environment, check=True, capture_output=True
        )
    first, second, alone = (
        tmp_path / folder / "checkpoints" for folder in ("sweep/0", "sweep/1", "alone")
    )
    assert (updates(first), updates(second), updates(alone)) == (4, 6, 6)
    assert_same_end(second, alone)


# SIGTERM


@pytest.mark.parametrize(
    "method, update, saved",
    [
        ("train_step", 6, 7),
        ("train_step", 9, 10),  # a save is due then
        ("valid_step", 10, 10),
        ("train_step", 18, 19),  # the last of the epoch
        ("valid_step", 19, 19),
    ],
)
def test_sigterm_saves_and_the_run_goes_on(method, update, saved, configure, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run = [*RUN, "--max-update", "22", "--patience", "9"]
    assert train(configure(*run, "--save-dir", str(whole))) == 0
    cfg = configure(*run, "--save-dir", str(stopped))
    assert train(cfg, partial(interrupt, update=update, method=method, do=sigterm)) == STOPPED
    assert updates(stopped) == saved
    assert f"stopped by SIGTERM after update {saved}: run again" in (stopped / "log").read_text()
    assert train(cfg) == 0
    assert_same_end(stopped, whole)
    assert read_log(stopped) == read_log(whole)


def test_sigterm_in_the_last_update_ends_the_run_as_ever(configure, tmp_path):
    cfg = configure(*RUN, "--max-update", "7")
    assert train(cfg, partial(interrupt, update=6, do=sigterm)) == 0
    assert updates(tmp_path / "checkpoints") == 7


@pytest.mark.parametrize(
    "options", [["--no-save"], ["--no-last-checkpoints"], ["--no-save-optimizer-state"]]
)
def test_sigterm_kills_a_run_that_could_not_resume(options, configure):
    cfg = configure(*RUN, *options)
    assert train(cfg, partial(interrupt, update=6, do=sigterm)) == -signal.SIGTERM


def test_a_second_sigterm_kills_but_not_one_that_came_twice(configure, tmp_path):
    def twice(seconds: float) -> None:
        interruption.SECONDS_OF_ONE_SIGTERM = seconds
        interrupt(update=6, do=lambda: (sigterm(), sigterm()))

    cfg = configure(*RUN)
    assert train(cfg, partial(twice, 0)) == -signal.SIGTERM
    assert updates(tmp_path / "checkpoints") == 5
    assert train(cfg, partial(twice, 5)) == STOPPED


def test_sigterm_between_epochs_saves(configure, tmp_path):
    """While the next epoch's batches are made, which can take minutes."""

    def sigterm_before_epoch_2() -> None:
        get_batch_iterator = FairseqTask.get_batch_iterator

        def interrupted(self, dataset, *args, epoch=1, **kwargs):
            if epoch == 2 and dataset is self.datasets["train"]:
                sigterm()
            return get_batch_iterator(self, dataset, *args, epoch=epoch, **kwargs)

        FairseqTask.get_batch_iterator = interrupted

    run = "--save-interval 9 --save-interval-updates 16 --max-update 24".split()
    assert train(configure(*RUN, *run), sigterm_before_epoch_2) == STOPPED
    assert updates(tmp_path / "checkpoints") == 20


# Runs in a process that goes on after them


@pytest.fixture
def terminated() -> list[int]:
    """The SIGTERMs that reach the handler of this process."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


ENDS = {  # the last update, and the options that end a run there
    "max_update": (12, ""),
    "max_epoch": (19, "--max-epoch 1 --max-update 99"),
    "stop_min_lr": (38, "--lr 0.01,0.0001 --stop-min-lr 0.001 --max-update 99"),
    "error": (5, ""),
    "SIGTERM": (7, ""),
}


@pytest.mark.parametrize("end", ENDS)
def test_after_a_run_sigterm_is_handled_as_before(
    end, terminated, configure, monkeypatch, tmp_path
):
    last, options = ENDS[end]
    cfg = configure(*RUN, *options.split())
    train_step = Trainer.train_step

    def interrupted(self, *args, **kwargs):
        if self.get_num_updates() == 6:
            if end == "error":
                raise FloatingPointError
            sigterm()
        return train_step(self, *args, **kwargs)

    if end in ("error", "SIGTERM"):
        monkeypatch.setattr(Trainer, "train_step", interrupted)
        with pytest.raises((FloatingPointError, SystemExit)):
            run_training(cfg)
        monkeypatch.setattr(Trainer, "train_step", train_step)
    else:
        run_training(cfg)
    assert updates(tmp_path / "checkpoints") == last and terminated == []
    sigterm()
    assert terminated == [signal.SIGTERM]
    if end == "SIGTERM":  # the next run does not stop for the signal of this one
        run_training(cfg)
        assert updates(tmp_path / "checkpoints") == 12


def in_a_thread(function: Callable[..., object], *arguments: object) -> object:
    """Call a function in a thread → what it returns, or raises."""
    with ThreadPoolExecutor() as pool:
        return pool.submit(function, *arguments).result()


@pytest.mark.parametrize("saves", [True, False])
def test_it_trains_in_a_thread(saves, configure, caplog, tmp_path, terminated):
    caplog.set_level("WARNING", logger="intra_distill")
    options = ["--num-workers", "2", "--max-update", "24", *[[], ["--no-save"]][not saves]]
    in_a_thread(run_training, configure(*RUN, *options))
    assert updates(tmp_path / "checkpoints") == (24 if saves else 0)
    warnings = [r.message for r in caplog.records if r.name == "intra_distill.patches.interruption"]
    assert warnings == [interruption.WHY_NOT_IN_A_THREAD] * saves


@pytest.mark.parametrize("call", [in_a_thread, lambda function: function()])
def test_processes_are_spawned_in_a_thread_as_well(call, terminated, monkeypatch, caplog):
    def spawn() -> Any:
        return signal.getsignal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("torch.multiprocessing.spawn", spawn)
    interruption.forward_sigterm_to_spawned()
    handler = call(torch.multiprocessing.spawn)
    assert (handler is before) == (call is in_a_thread)
    assert signal.getsignal(signal.SIGTERM) is before
    assert [record.message for record in caplog.records] == [interruption.WHY_NOT_IN_A_THREAD] * (
        call is in_a_thread
    )


# Several processes


MULTI = [
    *"--task translation_multi_simple_epoch --langs de,en --lang-pairs de-en".split(),
    *"--sampling-method temperature --sampling-temperature 1".split(),
]


@pytest.mark.parametrize(
    "method, options",
    [
        ("valid_step", []),
        ("train_step", ["--data-buffer-size", "0"]),
        ("train_step", MULTI),
        ("valid_step", MULTI),
    ],
)
def test_data_loaders_outlive_a_sigterm_to_the_group(options, method, configure, tmp_path):
    """They bring the batches of the epoch or validation that is under way, whoever made them."""

    def sigterm_to_group() -> None:  # from outside: of their parent's, data loaders do die
        kill = ["kill", "-TERM", "--", f"-{os.getpid()}"]
        subprocess.run(kill, start_new_session=True, check=True)
        time.sleep(0.3)

    def in_a_group() -> None:
        os.setpgid(0, 0)
        interrupt(update=5, method=method, do=sigterm_to_group)

    cfg = configure(*RUN, "--num-workers", "2", "--max-tokens-valid", "20", *options)
    pid = start_training(cfg, in_a_group)
    assert end_of(pid) == STOPPED, (tmp_path / "checkpoints" / "log").read_text()
    assert updates(tmp_path / "checkpoints") == (5 if method == "valid_step" else 6)
    until = time.monotonic() + 60
    with pytest.raises(ProcessLookupError):  # they notice within seconds that it is gone
        while time.monotonic() < until:
            os.killpg(pid, 0)
            time.sleep(0.1)


SPAWNING = """
import sys, torch
torch.cuda.device_count = lambda: 2  # fairseq starts as many processes
from fairseq_cli.train import cli_main
if __name__ == "__main__":
    cli_main()
"""


def test_ranks_that_fairseq_spawned_stop_together(data, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SPAWNING)
    command = [
        *[sys.executable, script, data, "--user-dir", USER_DIR, *RUN, *TINY_TRANSFORMER],
        *"--optimizer adam --lr 0.01 --max-tokens 80 --num-workers 0 --cpu".split(),
        *"--distributed-world-size 2 --distributed-backend gloo --ddp-backend legacy_ddp".split(),
        *["--save-dir", str(tmp_path / "run"), "--log-interval", "1", "--max-update", "100000"],
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        log = []
        for line in process.stdout:
            log.append(line)
            if '"num_updates": "7"' in line and '"update"' in line:
                process.send_signal(signal.SIGTERM)
    assert process.returncode == STOPPED, "".join(log)
    assert sum("stopped by SIGTERM" in line for line in log) == 1
    assert not any("Traceback" in line for line in log)
    assert updates(tmp_path / "run") >= 7


# A full disk


def refused(folder: Path, message: str) -> None:
    """A run ended with this in one line, and its checkpoints are whole."""
    log = (folder / "log").read_text()
    assert log.splitlines()[-1].startswith("intra_distill: cannot write ")
    assert log.endswith(f": {message}\n")
    assert "Traceback" not in log
    assert not list(folder.glob("*.tmp"))
    for path in folder.glob("*.pt"):
        assert torch.load(path)["model"]


def test_a_file_that_may_not_grow(configure, tmp_path):
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (50_000, 50_000))
    cfg = configure(*RUN)
    assert train(cfg, partial(interrupt, update=9, do=limit)) == 1
    refused(tmp_path / "checkpoints", "File too large")
    assert updates(tmp_path / "checkpoints") == 5
    assert train(cfg) == 0


def test_a_disk_that_is_full_at_the_copy(configure, tmp_path):
    def full() -> None:
        def copyfile(source: str, target: Path) -> None:
            target.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        shutil.copyfile = copyfile

    assert train(configure(*RUN), partial(interrupt, update=9, do=full)) == 1
    refused(tmp_path / "checkpoints", "No space left on device")
    assert updates(tmp_path / "checkpoints") == 5


@pytest.fixture
def small_disk(tmp_path) -> Path:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may mount no disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_small_disk(configure, small_disk):
    cfg = configure(*RUN, "--save-interval-updates", "1", "--save-dir", str(small_disk / "run"))
    assert train(cfg) == 1
    refused(small_disk / "run", "No space left on device")
    reached = updates(small_disk / "run")
    for path in (small_disk / "run").glob("checkpoint_1_*.pt"):
        path.unlink()
    assert reached > 0 and train(cfg) in (0, 1) and updates(small_disk / "run") > reached


# The recipes


STUBS = {
    "intra-distill": '[ "$1" != evaluate ] || { touch "$RUNS/evaluates"; exec sleep 60; }',
    "fairseq-train": """
        trap 'sleep 0.3; echo saved; exit 75' TERM
        echo training
        [ ! -e "$RUNS/fails" ] || exit 1
        until [ -e "$RUNS/ends" ]; do sleep 0.1; done""",
    "launcher": '"$@" & trap "kill $!; wait $!; exit 1" TERM; wait $!',  # torchrun, in short
    "scontrol": 'echo "$@" >"$RUNS/scontrol"',
}


@pytest.fixture
def recipe(tmp_path):
    """Start a script of scripts/ with stubs for what it runs → the process, its run's folder."""
    for name, lines in STUBS.items():
        path = tmp_path / "venv" / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{lines}\n")
        path.chmod(0o755)
    runs = tmp_path / "runs"
    runs.mkdir()

    def start(script: str, *arguments: str, **variables: str) -> subprocess.Popen:
        variables |= {"VENV": str(tmp_path / "venv"), "RUNS": str(runs)}
        return subprocess.Popen(
            ["bash", str(ROOT / "scripts" / script), *arguments],
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # where the tests run in the background it is ignored, and so for all below
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    return start, runs / "transformer" / "seed1"


def wait_for(path: Path, text: str = "") -> None:
    until = time.monotonic() + 60
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < until, path
        time.sleep(0.05)


@pytest.mark.parametrize("launcher", ["", "launcher"])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_script_that_is_stopped_lets_the_training_save(number, send, launcher, recipe):
    start, run = recipe
    process = start("train.sh", "wmt17", "transformer", LAUNCHER=launcher)
    wait_for(run / "train.log", "training")
    send(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode == STOPPED
    assert (run / "train.log").read_text().endswith("\nsaved\n")
    assert not (run / "trained").exists()
    (run.parents[1] / "ends").touch()
    assert start("train.sh", "wmt17", "transformer").wait() == 0  # the lock is free
    assert (run / "trained").exists()


def test_a_run_that_is_stopped_says_so_and_is_requeued(recipe):
    start, run = recipe
    arguments = ["run_system.sh", "wmt17", "-", "transformer", "1"]
    process = start(*arguments, SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID="3")
    wait_for(run / "train.log", "training")
    process.terminate()
    assert f"{run} stopped: run again" in process.communicate()[1]
    assert process.returncode == STOPPED
    assert (run / "run.log").read_text() == "training\nsaved\n"
    assert (run.parents[1] / "scontrol").read_text() == "requeue 12_3\n"


def test_a_run_that_is_stopped_in_its_evaluation(recipe):
    start, run = recipe
    (run.parents[1] / "ends").touch()
    process = start("run_system.sh", "wmt17", "-", "transformer", "1")
    wait_for(run.parents[1] / "evaluates")
    process.terminate()
    process.communicate()
    assert process.returncode == STOPPED


def test_a_run_that_fails_says_so(recipe):
    start, run = recipe
    (run.parents[1] / "fails").touch()
    process = start("run_system.sh", "wmt17", "-", "transformer", "1")
    assert f"{run} failed: training" in process.communicate()[1]
    assert process.returncode == 1
