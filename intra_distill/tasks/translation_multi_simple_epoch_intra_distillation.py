"""fairseq's task of multilingual translation with K passes in training.

fairseq samples the sentences of each epoch anew, and makes its batches then. They depend on the
epoch alone, except where ``load_dataset`` and ``can_reuse_epoch_itr`` say so. There they depend on
the epoch in which the process started too, and a resumed run would train on other batches.
"""

import argparse
import logging
from typing import Any

from fairseq import utils
from fairseq.data import SampledMultiEpochDataset
from fairseq.tasks import register_task
from fairseq.tasks.translation_multi_simple_epoch import TranslationMultiSimpleEpochTask

from ..errors import refuse
from .autoregressive import AutoregressiveTask
from .auxiliary_loss import AuxiliaryLossTask
from .half_precision import HalfPrecisionTask
from .intra_distillation import IntraDistillationTask
from .keep_pruned import KeepPrunedTask
from .validation_lengths import ValidationLengthsTask

logger = logging.getLogger(__name__)


@register_task("translation_multi_simple_epoch_intra_distillation")
class TranslationMultiSimpleEpochIntraDistillationTask(
    AutoregressiveTask,
    IntraDistillationTask,
    HalfPrecisionTask,
    KeepPrunedTask,
    AuxiliaryLossTask,
    ValidationLengthsTask,
    TranslationMultiSimpleEpochTask,
):
    """Translation between several languages by one encoder–decoder, trained with K passes.

    Raises:
        SystemExit: with one line, if α′ is adaptive and only ``--max-epoch`` bounds the run
    """

    BOUNDS = ("max_update",)  # how many batches an epoch has is not known before it is sampled

    def __init__(self, args: argparse.Namespace, *others: Any) -> None:
        if args.sampling_method == "RoundRobin" and args.virtual_epoch_size is not None:
            refuse(
                "--sampling-method RoundRobin makes the batches once, of the sentences of the "
                "first virtual epoch, so those of later ones would exceed --max-tokens: leave out "
                "--virtual-epoch-size, or take --sampling-method concat"
            )
        super().__init__(args, *others)
        if self.training and self.shards > 1 and args.virtual_epoch_size is not None:
            logger.warning(
                "with --virtual-epoch-size fairseq changes from one shard of the data to the next "
                "by the epoch in which a process started: a run that is stopped and resumed trains "
                "on other sentences than one that is not"
            )

    @property
    def shards(self) -> int:
        return len(utils.split_paths(self.args.data))

    def count_total_updates(self, epoch: int) -> int:
        if self.args.max_epoch > 0:
            logger.warning(
                f"the adaptive α′ takes N = --max-update {self.args.max_update}: how many updates "
                f"--max-epoch {self.args.max_epoch} allows is not known before epochs are sampled"
            )
        return self.args.max_update

    def can_reuse_epoch_itr(self, dataset: Any) -> bool:
        # fairseq keeps these batches for all epochs; where it says so, a resumed run makes the same
        return self.args.sampling_method == "RoundRobin" or super().can_reuse_epoch_itr(dataset)

    def find_sentence(self, subset: str, index: int) -> tuple[str, int]:
        """As in the mixin; the texts of the pairs follow one another in a subset."""
        pairs = [
            each["key"].split(":")[-1]
            for each in self.data_manager.get_split_data_param_list(subset, 1)
        ]
        for pair, dataset in zip(pairs, self.datasets[subset].datasets, strict=True):
            if index < len(dataset):
                return f"{subset} of {pair}", index
            index -= len(dataset)
        raise IndexError(f"{subset} has no sentence {index}")

    def load_dataset(
        self, split: str, epoch: int = 1, combine: bool = False, **kwargs: Any
    ) -> None:
        """Load a split; in the epoch in which a process starts, as an earlier start would have it.

        fairseq samples by the sizes of the shards that it has loaded: those before this epoch are
        counted. And it draws the sentences of all virtual epochs of a pass over the data at once:
        they are drawn as in the first of them.
        """
        starts = split == self.args.train_subset and split not in self.datasets
        if starts:
            self._count_shards_before(epoch, split, combine)
        super().load_dataset(split, epoch=epoch, combine=combine, **kwargs)
        if starts and isinstance(self.datasets[split], SampledMultiEpochDataset):
            draw_as_in_first_epoch(self.datasets[split], epoch)

    def _count_shards_before(self, epoch: int, split: str, combine: bool) -> None:
        for earlier in range(1, min(epoch, self.shards + 1)):
            manager = self.data_manager
            datasets, parameters = manager.load_split_datasets(split, True, earlier, combine)
            manager.get_train_dataset_sizes(parameters, datasets, earlier)


def draw_as_in_first_epoch(dataset: SampledMultiEpochDataset, epoch: int) -> None:
    """Draw the sentences of all virtual epochs of a pass as in its first one, then enter this one.

    A new process would draw them by the epoch that it starts in: other sentences than those that
    the epochs before it have left.
    """
    first = epoch - (epoch - 1) % dataset.num_virtual_epochs
    if first != epoch:
        shard_epoch, load_next_shard = dataset.shard_epoch, dataset.load_next_shard
        dataset.set_epoch(first)
        dataset.set_epoch(epoch)
        dataset.shard_epoch, dataset.load_next_shard = shard_epoch, load_next_shard
