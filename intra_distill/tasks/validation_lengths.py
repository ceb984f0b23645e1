"""Refuses, before the first update, a validation sentence that fairseq would end the training at.

The behaviour is a mixin, placed before the translation task that it changes. Some versions of
fairseq come upon such a sentence only at the first validation, when no checkpoint exists yet;
others in a dry run, which ends with a traceback.
"""

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from fairseq import utils
from fairseq.data import LanguagePairDataset
from fairseq.dataclass import FairseqDataclass
from omegaconf import II
from torch import nn

from ..errors import refuse


@dataclass
class ValidationLengthsConfig(FairseqDataclass):
    # fairseq's options that say what is validated, and which lengths it takes
    train_subset: str = II("dataset.train_subset")
    valid_subset: str = II("dataset.valid_subset")
    disable_validation: bool = II("dataset.disable_validation")
    skip_invalid_size_inputs_valid_test: bool = II("dataset.skip_invalid_size_inputs_valid_test")
    max_tokens_valid: Optional[int] = II("dataset.max_tokens_valid")


class ValidationLengthsTask:
    """Mixin for fairseq's translation task: all validation sentences fit the model and a batch.

    Raises:
        SystemExit: with one line, for the first sentence that does not
    """

    _takes: tuple[int, int] | None = None  # source and target tokens, of a model that is trained

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        model = super().build_model(cfg, from_checkpoint)
        if not from_checkpoint:
            self._takes = utils.resolve_max_positions(self.max_positions(), model.max_positions())
        return model

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        # of all that fairseq asks for, the training batches come after the validation sets are
        # loaded, and before it looks at them
        is_training = self._takes and dataset is self.datasets.get(self.cfg.train_subset)
        if is_training and not self.cfg.disable_validation:
            for subset in self.cfg.valid_subset.split(","):
                # where that is the training set, fairseq validates on the batches of the training
                if subset != self.cfg.train_subset and subset in self.datasets:
                    self._check_lengths(subset)
        return super().get_batch_iterator(dataset, *args, **kwargs)

    def _check_lengths(self, subset: str) -> None:
        dataset = self.datasets[subset]
        taken, too_long = dataset.filter_indices_by_size(np.arange(len(dataset)), self._takes)
        if too_long and not self.cfg.skip_invalid_size_inputs_valid_test:
            source, target = map(int, self._takes)
            refuse(
                f"{describe_first(too_long, subset, dataset)}, and the model takes {source} and "
                f"{target}: raise --max-source-positions and --max-target-positions, leave it out "
                "of validation by --skip-invalid-size-inputs-valid-test, or shorten it and prepare "
                "again"
            )
        max_tokens = self.cfg.max_tokens_valid or 0
        too_long = taken[dataset.num_tokens_vec(taken) > max_tokens] if max_tokens > 0 else []
        if len(too_long):
            refuse(
                f"{describe_first(too_long, subset, dataset)}, more than the {max_tokens} of a "
                "batch: raise --max-tokens-valid, which is --max-tokens by default, or shorten it "
                "and prepare again"
            )


def describe_first(indices: np.ndarray, subset: str, dataset: LanguagePairDataset) -> str:
    """Name the first of these sentences and its lengths, and say if there are more of them."""
    source, target = dataset.size(indices[0])
    more = f", the first of {len(indices)}," if len(indices) > 1 else ""
    return (
        f"sentence {indices[0] + 1} of the validation set {subset}{more} has {source} source and "
        f"{target} target tokens"
    )
