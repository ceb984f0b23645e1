"""fairseq's own faults on several GPUs, mended from outside."""

from typing import Any

from fairseq.trainer import Trainer


def count_missing_batches() -> None:
    """Put the mends in place."""
    train_step = Trainer.train_step

    def with_all_batches(self: Trainer, samples: list[Any], raise_oom: bool = False) -> Any:
        # An epoch's last update may have fewer batches than --update-freq on some of the ranks.
        # fairseq takes such a rank's sample size for 0 if the missing batch is its last, and the
        # gradient comes out too large: twice, of two ranks with one and two batches.
        return train_step(self, [sample for sample in samples if sample] or samples[:1], raise_oom)

    Trainer.train_step = with_all_batches
