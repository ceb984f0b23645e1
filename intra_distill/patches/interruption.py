"""Makes training resume exactly: a run killed at any moment ends like an uninterrupted run.

``fairseq-train`` resumes from ``checkpoint_last.pt``, but a kill at the wrong moment truncates that
file, early stopping counts from 0 again, a line of the log averages over fewer updates than it
says, and a finished run makes one more update. SIGTERM, with which a cluster announces the end,
loses all updates since the last checkpoint. This module wraps functions of fairseq to correct all
of this, for every task and criterion.

A run resumes only from ``checkpoint_last`` in its own folder. A run from another checkpoint, by
``--restore-file`` or ``--finetune-from-model``, starts as in fairseq.
"""

import logging
import math
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.data.iterators import EpochBatchIterator
from fairseq.distributed import utils as distributed_utils
from fairseq.file_io import PathManager
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask
from fairseq.trainer import Trainer
from torch.multiprocessing.spawn import ProcessExitedException
from torch.utils.data import DataLoader

from ..checkpoints import save_checkpoint
from ..errors import UserError, refuse
from ..files import written_whole

logger = logging.getLogger(__name__)

STOPPED = 75  # EX_TEMPFAIL of sysexits.h: run again
# A launcher may forward a SIGTERM that its group has received: two within this time count as one
SECONDS_OF_ONE_SIGTERM = 5
WHY_NOT_IN_A_THREAD = (
    "SIGTERM will end this run without saving: it trains in a thread, and Python handles signals "
    "only in the main thread"
)

sigterm_at: float | None = None  # time.monotonic() of the first SIGTERM


def survive_interruption() -> None:
    """Patch how fairseq writes checkpoints, and how ``fairseq-train`` resumes and stops."""
    write_checkpoints_whole()
    # not imported here, because that sets up logging, which other commands do differently
    train = sys.modules.get("fairseq_cli.train")
    if train is not None:
        begin_each_run_anew(train)
        keep_all_state(train)
        keep_batches()
        stop_on_sigterm(train)
        keep_data_loaders()
        forward_sigterm_to_spawned()


# Checkpoint files


def write_checkpoints_whole() -> None:
    """Write each checkpoint whole or not at all, and report a full disk in one line.

    fairseq writes the first file of a save whole or not at all, but copies it in place to
    ``checkpoint_best`` and ``checkpoint_last``. On a full disk it retries for five seconds and
    appends to the same file.
    """
    fairseq_save = checkpoint_utils.torch_persistent_save
    fairseq_copy = PathManager.copy

    def torch_persistent_save(obj: Any, filename: str, async_write: bool = False) -> None:
        if async_write or not PathManager.supports_rename(filename):
            return fairseq_save(obj, filename, async_write)
        try:
            save_checkpoint(Path(filename), obj)
        except UserError as error:
            refuse(str(error))

    def copy(src_path: str, dst_path: str, overwrite: bool = False) -> bool:
        if not (PathManager.supports_rename(src_path) and PathManager.supports_rename(dst_path)):
            return fairseq_copy(src_path, dst_path, overwrite)
        try:
            with written_whole(Path(dst_path)) as temporary:
                shutil.copyfile(src_path, temporary)
        except UserError as error:
            refuse(str(error))
        return True

    checkpoint_utils.torch_persistent_save = torch_persistent_save
    PathManager.copy = staticmethod(copy)


# What a checkpoint holds


def begin_each_run_anew(train: ModuleType) -> None:
    """Reset what an earlier run in this process has left (``fairseq-hydra-train -m``, a notebook).

    fairseq keeps the best validation value and the count of ``--patience`` as attributes of two
    functions, where the next run finds them. A SIGTERM has stopped the run that it came in.
    """
    load_checkpoint = checkpoint_utils.load_checkpoint

    def load_into_new_run(cfg: Any, trainer: Trainer, **kwargs: Any) -> Any:
        global sigterm_at
        sigterm_at = None
        for function in (train.should_stop_early, checkpoint_utils.save_checkpoint):
            for name in ("best", "num_runs"):
                vars(function).pop(name, None)
        return load_checkpoint(cfg, trainer, **kwargs)

    checkpoint_utils.load_checkpoint = load_into_new_run


def keep_all_state(train: ModuleType) -> None:
    """Save the count of ``--patience`` in checkpoints, and keep meters beyond an epoch's end.

    A trainer that resumes its own run gets ``resumed_at``, the number of updates in its checkpoint.
    """
    state_dict, load_checkpoint = Trainer.state_dict, Trainer.load_checkpoint

    def with_all_state(self: Trainer) -> dict[str, Any]:
        state = state_dict(self)
        state["extra_state"]["should_stop_early"] = dict(vars(train.should_stop_early))
        state["extra_state"]["batches_made_in"] = self.batches_made_in
        return state

    def restore(
        self: Trainer,
        filename: str,
        reset_optimizer: bool = False,
        reset_lr_scheduler: bool = False,
        optimizer_overrides: dict[str, Any] | None = None,
        reset_meters: bool = False,
    ) -> dict[str, Any] | None:
        extra_state = load_checkpoint(
            self, filename, reset_optimizer, reset_lr_scheduler, optimizer_overrides, reset_meters
        )
        if extra_state is None or not is_own(self, filename):
            return extra_state
        if not self.cfg.checkpoint.reset_dataloader and "batches_made_in" in extra_state:
            self.batches_made_in = extra_state["batches_made_in"]
        if not reset_optimizer:
            self.resumed_at = self._optim_history[-1]["num_updates"]
        if not reset_meters:
            # at an epoch's end fairseq drops all meters, even in the middle of --log-interval
            train_inner = extra_state.get("metrics", {}).get("train_inner")
            if train_inner is not None:
                metrics.load_state_dict({"train_inner": train_inner})
            if not reset_optimizer:  # as fairseq does with the best validation loss
                vars(train.should_stop_early).update(extra_state.get("should_stop_early", {}))
        return extra_state

    Trainer.state_dict, Trainer.load_checkpoint = with_all_state, restore


def is_own(trainer: Trainer, filename: str) -> bool:
    """Whether a file is the last checkpoint of the trainer's own run."""
    last = f"checkpoint_last{trainer.checkpoint_suffix}.pt"
    own = os.path.join(trainer.cfg.checkpoint.save_dir, last)
    return os.path.realpath(filename) == os.path.realpath(own)


# Batches


def keep_batches() -> None:
    """Give a resumed run the same batches as an uninterrupted run.

    If all epochs have the same data, fairseq makes the batches once per process and shuffles them
    in each epoch. Their seed depends on the epoch in which the process started; here it depends on
    the epoch in which the run started. With ``--curriculum``, fairseq keeps the first epoch's
    decision to shuffle or not; here each epoch decides for itself.
    """
    get_train_iterator = Trainer.get_train_iterator
    get_batch_iterator = FairseqTask.get_batch_iterator
    get_iterator_for_epoch = EpochBatchIterator._get_iterator_for_epoch
    made_in: list[int] = []  # the epoch, while fairseq makes the training data's iterator

    def of_this_run(self: Trainer, epoch: int, *args: Any, **kwargs: Any) -> Any:
        self.batches_made_in = self.batches_made_in or epoch
        made_in.append(self.batches_made_in)
        try:
            return get_train_iterator(self, epoch, *args, **kwargs)
        finally:
            made_in.clear()

    def of_first_epoch(self: FairseqTask, dataset, *args, **kwargs):
        made_once = (
            self.can_reuse_epoch_itr(dataset)
            and not kwargs.get("disable_iterator_cache")
            and not kwargs.get("update_epoch_batch_itr")
            and not getattr(self.cfg, "rebuild_batches", False)
        )
        if made_in and made_once:
            kwargs["epoch"] = made_in[0]  # the iterator's state later sets the right one
        return get_batch_iterator(self, dataset, *args, **kwargs)

    def as_asked(self: EpochBatchIterator, epoch: int, shuffle: bool, *args, **kwargs):
        if self.reuse_dataloader and self.dataloader is not None:
            self.epoch_batch_sampler.shuffle = shuffle
        return get_iterator_for_epoch(self, epoch, shuffle, *args, **kwargs)

    Trainer.batches_made_in, Trainer.resumed_at = None, None
    Trainer.get_train_iterator = of_this_run
    FairseqTask.get_batch_iterator = of_first_epoch
    EpochBatchIterator._get_iterator_for_epoch = as_asked


# SIGTERM


def stop_on_sigterm(train: ModuleType) -> None:
    """On SIGTERM, finish the current update or validation, save a checkpoint and exit with 75.

    At the end of an epoch, fairseq first logs the epoch. SIGTERM is handled within epochs and while
    the next one is made ready, and otherwise as before: after a run, the process is not ours.
    """
    train_epoch, validate_and_save = train.train, train.validate_and_save
    get_train_iterator = Trainer.get_train_iterator

    def train_unless_finished(cfg, trainer, task, epoch_itr):
        if is_finished(cfg, trainer, train):
            logger.info("the run is finished: nothing to train")
            return [None], True
        refuse_without_optimizer(cfg, trainer)
        if not trainer.has_begun and can_stop(cfg) and not in_main_thread():
            logger.warning(WHY_NOT_IN_A_THREAD)
        trainer.has_begun = True
        with noting_sigterm(cfg):
            valid_losses, should_stop = train_epoch(cfg, trainer, task, epoch_itr)
            if not should_stop:
                stop_if_asked(cfg, trainer, epoch_itr)
        return valid_losses, should_stop

    def get_next_iterator(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        with noting_sigterm(self.cfg) if self.has_begun else nullcontext():
            return get_train_iterator(self, *args, **kwargs)

    def validate_save_and_stop(cfg, trainer, task, epoch_itr, valid_subsets, end_of_epoch):
        valid_losses, should_stop = validate_and_save(
            cfg, trainer, task, epoch_itr, valid_subsets, end_of_epoch
        )
        if not (end_of_epoch or should_stop):
            stop_if_asked(cfg, trainer, epoch_itr)
        return valid_losses, should_stop

    train.train, train.validate_and_save = train_unless_finished, validate_save_and_stop
    Trainer.has_begun, Trainer.get_train_iterator = False, get_next_iterator


def is_finished(cfg, trainer: Trainer, train: ModuleType) -> bool:
    """Whether a resumed run has made its last update; fairseq checks only after one more."""
    if trainer.resumed_at is None:
        return False
    patience = cfg.checkpoint.patience
    return trainer.resumed_at >= (cfg.optimization.max_update or math.inf) or (
        0 < patience <= getattr(train.should_stop_early, "num_runs", 0)
    )


def refuse_without_optimizer(cfg, trainer: Trainer) -> None:
    """Refuse to overwrite the checkpoint of a run that cannot resume.

    fairseq would start from its parameters at update 0, and overwrite it.
    """
    if trainer.resumed_at is not None and trainer.get_num_updates() < trainer.resumed_at:
        refuse(
            f"the run in {cfg.checkpoint.save_dir} cannot resume after update "
            f"{trainer.resumed_at}: its checkpoint_last.pt has no optimizer state "
            "(--no-save-optimizer-state). Start a new run from it: in another --save-dir with "
            "--finetune-from-model, or in this one with --reset-optimizer"
        )


def can_stop(cfg) -> bool:
    """Whether SIGTERM stops a run so that it resumes; otherwise it ends the run at once."""
    checkpoint = cfg.checkpoint
    return not (
        checkpoint.no_save or checkpoint.no_last_checkpoints or checkpoint.no_save_optimizer_state
    )


def noting_sigterm(cfg) -> AbstractContextManager[None]:
    return handling_sigterm(note_sigterm) if can_stop(cfg) else nullcontext()


@contextmanager
def handling_sigterm(handler: Callable[[int, Any], object]) -> Iterator[None]:
    """Handle SIGTERM by a function, and then as before; in a thread, Python does not allow it."""
    if not in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is handler:
            # None stands for a handler that is not Python's, which Python cannot restore
            signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def note_sigterm(signum: int, frame: Any) -> None:
    """Signal handler: note the first SIGTERM, and end at once on a later one."""
    global sigterm_at
    now = time.monotonic()
    sigterm_at = sigterm_at or now
    if now - sigterm_at > SECONDS_OF_ONE_SIGTERM:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def stop_if_asked(cfg, trainer: Trainer, epoch_itr) -> None:
    """If any rank has received SIGTERM, save and exit on all ranks together."""
    asked = torch.tensor(float(sigterm_at is not None), device=trainer.device)
    several_ranks = torch.distributed.is_initialized()
    if several_ranks:
        distributed_utils.all_reduce(asked, group=distributed_utils.get_global_group())
    if not asked:
        return
    checkpoint_utils.save_checkpoint(cfg.checkpoint, trainer, epoch_itr, None)
    if several_ranks:  # a launcher kills all ranks when one exits
        torch.distributed.barrier(distributed_utils.get_global_group())
    updates = trainer.get_num_updates()
    logger.info(f"stopped by SIGTERM after update {updates}: run again to resume")
    sys.exit(STOPPED)


def keep_data_loaders() -> None:
    """Keep the workers of all data loaders alive when SIGTERM stops the training.

    A SIGTERM to the whole process group would kill the workers, and the training process would
    fail before it has saved.
    """
    init = DataLoader.__init__

    def init_with_lasting_workers(self: DataLoader, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if self.num_workers > 0:
            self.worker_init_fn = partial(outlive_sigterm_of_others, self.worker_init_fn)

    DataLoader.__init__ = init_with_lasting_workers


def outlive_sigterm_of_others(init: Callable[[int], object] | None, worker: int) -> None:
    """In a data loader's worker: ignore SIGTERM unless the parent process sends it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def wait_for_parent() -> None:
        while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=wait_for_parent, daemon=True).start()
    if init is not None:
        init(worker)


def forward_sigterm_to_spawned() -> None:
    """If fairseq spawns a process per GPU, forward SIGTERM to them and exit with their code."""
    spawn = torch.multiprocessing.spawn

    def spawn_and_forward(*args, **kwargs):
        def forward(signum: int, frame: Any) -> None:
            for child in multiprocessing.active_children():
                child.terminate()

        if not in_main_thread():
            logger.warning(WHY_NOT_IN_A_THREAD)
        try:
            with handling_sigterm(forward):
                return spawn(*args, **kwargs)
        except ProcessExitedException as error:
            if error.exit_code > 0:  # the child has reported the error
                sys.exit(error.exit_code)
            raise

    torch.multiprocessing.spawn = spawn_and_forward
