"""Training killed at random.

A run that is killed again and again, and started again, ends with the parameters, the checkpoints
and the log of one that nobody disturbed.
"""

import os
import random
import resource
import shutil
import signal
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import torch

from intra_distill.patches.interruption import STOPPED

from ..support.forked import (
    assert_same_end,
    end_of,
    interrupt,
    read_log,
    sigterm,
    start_training,
    train,
    updates,
)
from ..support.training import INTRA, PLAIN, SMOOTHED, run_training

SYSTEMS = {
    "fairseq's own": ["--criterion", "label_smoothed_cross_entropy", *SMOOTHED],
    "intra-distilled": [*INTRA, "--alpha", "1"],
    "switch, sage": [*PLAIN, "--arch", "switch_transformer", "--optimizer", "sage"],
}
# epochs of 19 updates; neither they nor the saves fall on the ends of log intervals
RUN = (
    "--log-format json --log-interval 4 --save-interval-updates 5 --keep-interval-updates 2 "
    "--no-epoch-checkpoints --patience 4 --max-update 40 --curriculum 1 --encoder-layerdrop 0.2"
).split()


@pytest.fixture(params=SYSTEMS)
def run(request, configure, tmp_path):
    """(configuration, its folder, the folder of the same run undisturbed, its seconds)"""
    options = [*SYSTEMS[request.param], *RUN]
    # what torch imports at the first update is there, then, in all forks
    run_training(configure(*options, "--max-update", "1", "--no-save"))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start = time.monotonic()
    assert train(configure(*options, "--save-dir", str(whole))) == 0
    duration = time.monotonic() - start
    return configure(*options, "--save-dir", str(killed)), killed, whole, duration


def check(killed: Path, whole: Path, all_lines: bool = False) -> None:
    """Of a finished run.

    The line of an epoch is lost for good where the kill falls between its last save and the line.
    """
    assert_same_end(killed, whole)
    lines, expected = read_log(killed), read_log(whole)
    assert lines.items() <= expected.items()
    lost = expected.keys() - lines.keys()
    assert not lost if all_lines else {name for name, _ in lost} <= {"train"}


def check_files(folder: Path) -> None:
    """All that is named a checkpoint is one."""
    for path in folder.glob("*.pt"):
        assert torch.load(path)["model"]


def test_kills_at_random_moments(run, inject, times):
    cfg, killed, whole, duration = run
    moments = random.Random(1)
    kills = 0
    while kills < times(4, 40):
        pid = start_training(cfg)
        time.sleep(moments.uniform(0, duration))
        os.kill(pid, signal.SIGKILL)
        if end_of(pid) == -signal.SIGKILL:
            inject()
            kills += 1
            check_files(killed)
        else:
            check(killed, whole)
            shutil.rmtree(killed)
    assert train(cfg) == 0
    check(killed, whole)


def kill_at(point: int, folder: Path) -> None:
    """This process dies at the ``point``-th thing that it does to checkpoints in a folder.

    It dies before it opens, copies, renames or removes one, or after it has written half of it.
    """
    points = count(1)

    def watch(event: str, arguments: tuple) -> None:
        if event not in ("open", "os.rename", "os.remove", "shutil.copyfile"):
            return
        path, *others = arguments
        if not str(path).startswith(str(folder)) or ".pt" not in str(path):
            return
        writes = event == "open" and "w" in (others[0] or "")
        if event == "open" and not writes:
            return
        if next(points) == point:
            os.kill(os.getpid(), signal.SIGKILL)
        if writes and next(points) == point:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    sys.addaudithook(watch)


@pytest.mark.parametrize("run", ["fairseq's own"], indirect=True)
def test_kills_at_every_point_of_a_save(run, inject, times):
    cfg, killed, whole, _ = run
    points = random.Random(1)
    for repetition in range(times(1, 8)):  # the first one by one, the others at random
        shutil.rmtree(killed, ignore_errors=True)
        reached = 0
        for number in count(1):
            point = points.randint(1, 40) if repetition else number
            status = train(cfg, partial(kill_at, point, killed))
            if status == 0:
                break
            assert status in (-signal.SIGKILL, -signal.SIGXFSZ)
            inject()
            check_files(killed)
            assert updates(killed) >= reached
            reached = updates(killed)
        check(killed, whole)


def test_sigterm_at_random_updates(run, inject, times):
    cfg, killed, whole, _ = run
    steps = random.Random(1)
    for _ in range(times(1, 8)):
        shutil.rmtree(killed, ignore_errors=True)
        while True:
            last = updates(killed) + steps.randrange(10)
            status = train(cfg, partial(interrupt, update=last, do=sigterm))
            if status == 0:
                break
            assert status == STOPPED
            inject()
            assert updates(killed) == last + 1
        check(killed, whole, all_lines=True)
