"""Corrects a fault of fairseq on several GPUs."""

from typing import Any

from fairseq.trainer import Trainer


def count_missing_batches() -> None:
    """Patch fairseq: the last update of an epoch has the right sample size on every rank."""
    train_step = Trainer.train_step

    def with_all_batches(self: Trainer, samples: list[Any], raise_oom: bool = False) -> Any:
        # In an epoch's last update some ranks may have fewer batches than --update-freq. If the
        # last batch of a rank is missing, fairseq sets the rank's whole sample size to 0, so the
        # gradient, divided by the sum over the ranks, is too large.
        return train_step(self, [sample for sample in samples if sample] or samples[:1], raise_oom)

    Trainer.train_step = with_all_batches
