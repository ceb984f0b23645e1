"""Every function of fairseq and torch that the plugin replaces.

A patch wraps the function that is there and is as narrow as its purpose. Importing the package
puts all of them in place (:func:`apply`). A test compares this register with what an import
really replaces.
"""

from dataclasses import dataclass

from .interruption import survive_interruption
from .safe_loading import allow_fairseq_checkpoints
from .update_freq import count_missing_batches


@dataclass(frozen=True)
class Patch:
    """A function that is replaced."""

    function: str  # where it is looked up
    why: str
    without: str  # what breaks without the patch
    test: str  # what fails without it


REGISTER = (
    # safe_loading.py, in every command
    Patch(
        "fairseq.checkpoint_utils.load_checkpoint_to_cpu",
        "refuses a configuration that runs code where fairseq gives it to eval",
        "a stranger's checkpoint runs code in fairseq-generate and fairseq-interactive",
        "tests/faults/test_hostile.py",
    ),
    # interruption.py, in every command
    Patch(
        "fairseq.checkpoint_utils.torch_persistent_save",
        "writes a checkpoint to a temporary file, and names a full disk in one line",
        "a full disk leaves half a checkpoint",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.file_io.PathManager.copy",
        "copies to a temporary file, which then takes the name",
        "a kill leaves half of checkpoint_last.pt or checkpoint_best.pt, and the run is lost",
        "tests/test_interruption.py",
    ),
    # interruption.py, where fairseq-train runs
    Patch(
        "fairseq.checkpoint_utils.load_checkpoint",
        "forgets the best validation value of the process's previous run",
        "a job of a sweep is measured by the best value of the job before it",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.trainer.Trainer.state_dict",
        "saves what --patience has counted, and the epoch that the batches were made in",
        "a run that resumes stops later than one that nobody stopped",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.trainer.Trainer.load_checkpoint",
        "restores them, and the meters within an epoch, from a run's own checkpoint_last.pt",
        "a run that resumes stops later, and a line of its log averages over fewer updates",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.trainer.Trainer.get_train_iterator",
        "notes the epoch in which the batches are made",
        "a run that resumes goes through other batches",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.tasks.fairseq_task.FairseqTask.get_batch_iterator",
        "makes the batches as in that epoch",
        "a run that resumes goes through other batches",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq.data.iterators.EpochBatchIterator._get_iterator_for_epoch",
        "shuffles as the epoch is asked to, also where the data loader is reused",
        "after --curriculum a run that resumes goes through other batches",
        "tests/faults/test_killed_training.py",
    ),
    Patch(
        "fairseq_cli.train.train",
        "leaves a finished run alone, refuses one that cannot resume, and listens to SIGTERM",
        "a finished run makes one update more; SIGTERM loses all updates since the checkpoint",
        "tests/test_interruption.py",
    ),
    Patch(
        "fairseq_cli.train.validate_and_save",
        "saves and exits with 75 after the update in which SIGTERM came",
        "SIGTERM loses all updates since the last checkpoint",
        "tests/test_interruption.py",
    ),
    Patch(
        "torch.utils.data.dataloader.DataLoader.__init__",
        "lets a data loader's workers outlive a SIGTERM to the process group",
        "the training dies of its dead workers before it can save",
        "tests/test_interruption.py",
    ),
    Patch(
        "torch.multiprocessing.spawn",
        "passes SIGTERM to the process of each GPU, and their exit code on",
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
    """Put all patches in place."""
    allow_fairseq_checkpoints()
    survive_interruption()
    count_missing_batches()
