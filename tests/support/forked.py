"""fairseq-train in a fork of this process: to be killed without a new interpreter for each time."""

import json
import logging
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fairseq.trainer import Trainer

from .training import assert_equal, run_training

TIMES = {"wps", "ups", "wpb", "wall", "train_wall"}  # in the log: no two runs agree on them


def start_training(cfg, before: Callable[[], object] = lambda: None) -> int:
    """Train in a child, which calls ``before`` first → its process id; its log is ``log``."""
    path = Path(cfg.checkpoint.save_dir, "log")
    path.parent.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        return pid
    status = 1
    log = open(path, "a", encoding="utf-8")
    try:
        logging.basicConfig(
            stream=log, format="%(name)s | %(message)s", level=logging.INFO, force=True
        )
        before()
        run_training(cfg)
        status = 0
    except SystemExit as end:
        if isinstance(end.code, int):
            status = end.code
        else:
            print(end.code, file=log)
    except BaseException:
        traceback.print_exc(file=log)
        status = 2
    finally:
        log.flush()
        os._exit(status)


def end_of(pid: int) -> int:
    """The exit code of a child, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def train(cfg, before: Callable[[], object] = lambda: None) -> int:
    return end_of(start_training(cfg, before))


def interrupt(*, update: int, do: Callable[[], object], method: str = "train_step") -> None:
    """In a child: ``do`` something when so many updates are done and the trainer comes there."""
    original = getattr(Trainer, method)

    def interrupted(self, *args, **kwargs):
        if self.get_num_updates() == update:
            do()
        return original(self, *args, **kwargs)

    setattr(Trainer, method, interrupted)


def sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def read_log(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What a run logged of ``train_inner``, ``train`` and ``valid`` at which update, but times.

    A line that was logged again, after a kill, must say the same again.
    """
    lines = {}
    for line in (folder / "log").read_text(encoding="utf-8").splitlines():
        name, _, text = line.partition(" | ")
        if name in ("train_inner", "train", "valid"):
            values = {k.removeprefix(f"{name}_"): v for k, v in json.loads(text).items()}
            values = {key: value for key, value in values.items() if key not in TIMES}
            assert lines.setdefault((name, values["num_updates"]), values) == values
    return lines


def updates(folder: Path) -> int:
    """How far its checkpoint_last is; 0 without one."""
    path = folder / "checkpoint_last.pt"
    return torch.load(path)["optimizer_history"][-1]["num_updates"] if path.exists() else 0


def assert_same_end(folder: Path, undisturbed: Path) -> None:
    """Two runs have the same parameters, last and best, and the same states."""
    for name in ("checkpoint_last.pt", "checkpoint_best.pt"):
        ours, theirs = torch.load(folder / name), torch.load(undisturbed / name)
        for part in ("model", "last_optimizer_state"):
            assert_equal(ours[part], theirs[part])
        assert_equal(ours["optimizer_history"][-1], theirs["optimizer_history"][-1])
        for key in ("train_iterator", "should_stop_early", "best", "val_loss"):
            assert ours["extra_state"][key] == theirs["extra_state"][key]
