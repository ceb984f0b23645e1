"""The register of all functions of fairseq and torch that the plugin replaces.

Each patch wraps the original function and changes only what its purpose needs. Importing the
package applies all of them (:func:`apply`). A test compares this register with the functions that
an import replaces.
"""

from dataclasses import dataclass

from .interruption import survive_interruption
from .safe_loading import allow_fairseq_checkpoints
from .update_freq import count_missing_batches


@dataclass(frozen=True)
class Patch:
    """A function that is replaced."""

    function: str  # the full name under which fairseq finds it
    why: str  # what the patch does
    without: str  # what breaks without it
    test: str  # which file of tests fails without it


REGISTER = (
    # safe_loading.py, in every command
    Patch(
        "fairseq.checkpoint_utils.load_checkpoint_to_cpu",
        "refuses a configuration that would run code when fairseq evaluates it",
        "an untrusted checkpoint can run code in fairseq-generate and fairseq-interactive",
        "tests/faults/test_hostile_checkpoints.py",
    ),
    # interruption.py, in every command
    Patch(
        "fairseq.checkpoint_utils.torch_persistent_save",
        "writes a checkpoint atomically, and reports a full disk in one line",
        "a full disk leaves half a checkpoint",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.file_io.PathManager.copy",
        "copies a file atomically",
        "a kill leaves half of checkpoint_last.pt or checkpoint_best.pt, and the run is lost",
        "tests/test_interruption.py",
    ),
    # interruption.py, where fairseq-train runs
    Patch(
        "fairseq.checkpoint_utils.load_checkpoint",
        "forgets the best validation value and the SIGTERM of an earlier run in the same process",
        "a job of a sweep is compared with the best value of the job before it",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.trainer.Trainer.state_dict",
        "saves the count of --patience, and the epoch in which the batches were made",
        "a resumed run stops later than an uninterrupted one",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.trainer.Trainer.load_checkpoint",
        "restores both, and the meters of the epoch, from a run's own checkpoint_last.pt",
        "a resumed run stops later, and a line of its log averages over fewer updates",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.trainer.Trainer.get_train_iterator",
        "records the epoch in which the batches are made, and handles SIGTERM between epochs",
        "a resumed run trains on other batches",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.tasks.fairseq_task.FairseqTask.get_batch_iterator",
        "makes the same batches as in that epoch",
        "a resumed run trains on other batches",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.data.iterators.EpochBatchIterator._get_iterator_for_epoch",
        "shuffles as the epoch requires, even if fairseq reuses the data loader",
        "after --curriculum a resumed run trains on other batches",
        "tests/faults/test_killed_training.py",
    ),
    Patch(
        "fairseq_cli.train.train",
        "skips a finished run, refuses one that cannot resume, and handles SIGTERM within epochs",
        "a finished run makes one more update; SIGTERM loses the updates since the checkpoint",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq_cli.train.validate_and_save",
        "saves and exits with code 75 after the update in which SIGTERM arrived",
        "SIGTERM loses all updates since the last checkpoint",
        "tests/test_interruption.py",
    ),
    Patch(
        "torch.utils.data.dataloader.DataLoader.__init__",
        "makes a data loader's workers ignore a SIGTERM to the process group",
        "the workers die, and the training fails before it can save",
        "tests/test_interruption.py",
    ),
    Patch(
        "torch.multiprocessing.spawn",
        "passes SIGTERM to the process of each GPU, and returns their exit code",
        "SIGTERM to fairseq-train on several GPUs loses all updates since the last checkpoint",
        "tests/test_interruption.py",
    ),
    # update_freq.py, in every command
    Patch(
        "fairseq.trainer.Trainer.train_step",
        "drops the empty batches that pad a rank's last update of an epoch",
        "with --update-freq on several GPUs that update's gradient is too large",
        "tests/faults/test_ranks.py",
    ),
)


def apply() -> None:
    """Apply all patches."""
    allow_fairseq_checkpoints()
    survive_interruption()
    count_missing_batches()
