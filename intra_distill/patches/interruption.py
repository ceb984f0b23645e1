"""Training that may be killed at any moment: started again, it ends as if nothing had happened.

``fairseq-train`` resumes from ``checkpoint_last.pt``, but a kill at the wrong moment truncates that
file, early stopping starts to count anew, a line of the log averages over less than it says, and a
finished run makes one update more. SIGTERM, by which a cluster announces the end, loses all updates
since the last checkpoint. All this is mended here, for every task and criterion, by putting a few
functions of fairseq behind ones that do a little more.

Only ``checkpoint_last`` of its own folder makes a run the same run. One that starts from another
checkpoint, by ``--restore-file`` or ``--finetune-from-model``, starts as fairseq has it.
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
from collections.abc import Callable
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


STOPPED = 75  # EX_TEMPFAIL of sysexits.h: run me again
# Launchers pass on what their whole group has received already: within this time two are one
SECONDS_OF_ONE_SIGTERM = 5


sigterm_at: float | None = None  # time.monotonic() of the first SIGTERM


def survive_interruption() -> None:
    """Put all of this in place; only where ``fairseq-train`` runs does it touch signals."""
    write_checkpoints_whole()
    # importing it would set up logging, which fairseq's other commands do in their own ways
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
    """No checkpoint is ever there in part, and a full disk is said in one line.

    fairseq writes the first file of a save whole or not at all, but copies it in place to
    ``checkpoint_best`` and ``checkpoint_last``. On a full disk it tries again for five seconds,
    writing on in the same file.
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
    """Several runs of one process, as of ``fairseq-hydra-train -m``, know nothing of each other.

    fairseq keeps the best validation value, and what ``--patience`` has counted, as attributes of
    two functions, where the next run finds them.
    """
    load_checkpoint = checkpoint_utils.load_checkpoint

    def load_into_new_run(cfg: Any, trainer: Trainer, **kwargs: Any) -> Any:
        for function in (train.should_stop_early, checkpoint_utils.save_checkpoint):
            for name in ("best", "num_runs"):
                vars(function).pop(name, None)
        return load_checkpoint(cfg, trainer, **kwargs)

    checkpoint_utils.load_checkpoint = load_into_new_run


def keep_all_state(train: ModuleType) -> None:
    """Checkpoints carry what ``--patience`` has counted, and meters outlive an epoch's end.

    A trainer that resumes its own run has ``resumed_at``, the updates of its checkpoint.
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
            # at an epoch's end fairseq drops all meters, also those in the middle of --log-interval
            train_inner = extra_state.get("metrics", {}).get("train_inner")
            if train_inner is not None:
                metrics.load_state_dict({"train_inner": train_inner})
            if not reset_optimizer:  # as fairseq does with the best validation loss
                vars(train.should_stop_early).update(extra_state.get("should_stop_early", {}))
        return extra_state

    Trainer.state_dict, Trainer.load_checkpoint = with_all_state, restore


def is_own(trainer: Trainer, filename: str) -> bool:
    """Whether a checkpoint is where the trainer's own run, and no other, left off."""
    last = f"checkpoint_last{trainer.checkpoint_suffix}.pt"
    own = os.path.join(trainer.cfg.checkpoint.save_dir, last)
    return os.path.realpath(filename) == os.path.realpath(own)


# Batches


def keep_batches() -> None:
    """A run that resumes goes through the batches of one that never stopped.

    Of data that stays the same fairseq makes batches once and shuffles them for each epoch. How it
    makes them depends on the epoch in which the process began, which here is that in which the
    run began. Whether it shuffles them is what its first epoch said, ``--curriculum`` or not.
    """
    get_train_iterator = Trainer.get_train_iterator
    get_batch_iterator = FairseqTask.get_batch_iterator
    get_iterator_for_epoch = EpochBatchIterator._get_iterator_for_epoch
    made_in: list[int] = []  # the epoch, while the iterator of the training data is made

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
            kwargs["epoch"] = made_in[0]  # the right one comes with the state of the iterator
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
    """After the update, or the validation, that SIGTERM falls into: save and exit with 75.

    An epoch's end stops only after fairseq has logged the epoch.
    """
    train_epoch, validate_and_save = train.train, train.validate_and_save

    def train_unless_finished(cfg, trainer, task, epoch_itr):
        if is_finished(cfg, trainer, train):
            logger.info("the run is finished: nothing to train")
            return [None], True
        refuse_without_optimizer(cfg, trainer)
        # where it cannot resume there is nothing to save for: SIGTERM ends the run as ever
        if not (
            cfg.checkpoint.no_save
            or cfg.checkpoint.no_last_checkpoints
            or cfg.checkpoint.no_save_optimizer_state
        ):
            signal.signal(signal.SIGTERM, note_sigterm)
        valid_losses, should_stop = train_epoch(cfg, trainer, task, epoch_itr)
        if not should_stop:
            stop_if_asked(cfg, trainer, epoch_itr)
        return valid_losses, should_stop

    def validate_save_and_stop(cfg, trainer, task, epoch_itr, valid_subsets, end_of_epoch):
        valid_losses, should_stop = validate_and_save(
            cfg, trainer, task, epoch_itr, valid_subsets, end_of_epoch
        )
        if not (end_of_epoch or should_stop):
            stop_if_asked(cfg, trainer, epoch_itr)
        return valid_losses, should_stop

    train.train, train.validate_and_save = train_unless_finished, validate_save_and_stop


def is_finished(cfg, trainer: Trainer, train: ModuleType) -> bool:
    """Whether a run that resumes has had its last update; fairseq asks only after one more."""
    if trainer.resumed_at is None:
        return False
    patience = cfg.checkpoint.patience
    return trainer.resumed_at >= (cfg.optimization.max_update or math.inf) or (
        0 < patience <= getattr(train.should_stop_early, "num_runs", 0)
    )


def refuse_without_optimizer(cfg, trainer: Trainer) -> None:
    """Refuse to train over the checkpoint of a run that cannot resume.

    fairseq would begin again at update 0 with its parameters, and replace them.
    """
    if trainer.resumed_at is not None and trainer.get_num_updates() < trainer.resumed_at:
        refuse(
            f"the run in {cfg.checkpoint.save_dir} cannot resume after update "
            f"{trainer.resumed_at}: its checkpoint_last.pt has no optimizer state "
            "(--no-save-optimizer-state). Start another run from it, in another --save-dir by "
            "--finetune-from-model, or in this one by --reset-optimizer"
        )


def note_sigterm(signum: int, frame: Any) -> None:
    global sigterm_at
    now = time.monotonic()
    sigterm_at = sigterm_at or now
    if now - sigterm_at > SECONDS_OF_ONE_SIGTERM:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def stop_if_asked(cfg, trainer: Trainer, epoch_itr) -> None:
    """Where any rank has had a SIGTERM, all save and exit together."""
    asked = torch.tensor(float(sigterm_at is not None), device=trainer.device)
    several_ranks = torch.distributed.is_initialized()
    if several_ranks:
        distributed_utils.all_reduce(asked, group=distributed_utils.get_global_group())
    if not asked:
        return
    checkpoint_utils.save_checkpoint(cfg.checkpoint, trainer, epoch_itr, None)
    if several_ranks:  # a launcher kills all ranks when the first is gone
        torch.distributed.barrier(distributed_utils.get_global_group())
    updates = trainer.get_num_updates()
    logger.info(f"stopped by SIGTERM after update {updates}: run again, it goes on from there")
    sys.exit(STOPPED)


def keep_data_loaders() -> None:
    """Workers of data loaders, whoever made these, outlive a SIGTERM to the training.

    A SIGTERM to the whole process group would kill them, and the training process with an error,
    while that still needs its batches.
    """
    init = DataLoader.__init__

    def init_with_lasting_workers(self: DataLoader, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if self.num_workers > 0:
            self.worker_init_fn = partial(outlive_sigterm_of_others, self.worker_init_fn)

    DataLoader.__init__ = init_with_lasting_workers


def outlive_sigterm_of_others(init: Callable[[int], object] | None, worker: int) -> None:
    """In a data loader's worker: none but its parent may end it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def wait_for_parent() -> None:
        while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=wait_for_parent, daemon=True).start()
    if init is not None:
        init(worker)


def forward_sigterm_to_spawned() -> None:
    """Where fairseq itself starts a process for each GPU: SIGTERM to them, their code from us."""
    spawn = torch.multiprocessing.spawn

    def spawn_and_forward(*args, **kwargs):
        def forward(signum: int, frame: Any) -> None:
            for child in multiprocessing.active_children():
                child.terminate()

        signal.signal(signal.SIGTERM, forward)
        try:
            return spawn(*args, **kwargs)
        except ProcessExitedException as error:
            if error.exit_code > 0:  # the child has said why
                sys.exit(error.exit_code)
            raise

    torch.multiprocessing.spawn = spawn_and_forward
