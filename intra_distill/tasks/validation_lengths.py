"""Refuses, before the first update, a validation sentence that fairseq would end the training at.

The behaviour is a mixin, placed before a translation task that it changes. Some versions of
fairseq come upon such a sentence only at the first validation, when no checkpoint exists yet;
others in a dry run, which ends with a traceback.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from fairseq import utils
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
    """Mixin for a task of translation: all validation sentences fit the model and a batch.

    Raises:
        SystemExit: with one line, for the first sentence that does not
    """

    _takes: tuple[int, int] | None = None  # source and target tokens, of a model that is trained

    def __init__(self, cfg: ValidationLengthsConfig, *args: Any, **kwargs: Any) -> None:
        self._validation = cfg  # fairseq's tasks without a dataclass keep it elsewhere
        super().__init__(cfg, *args, **kwargs)

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        model = super().build_model(cfg, from_checkpoint)
        if not from_checkpoint:
            self._takes = utils.resolve_max_positions(self.max_positions(), model.max_positions())
        return model

    def get_batch_iterator(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        # of all that fairseq asks for, the training batches come after the validation sets are
        # loaded, and before it looks at them
        is_training = self._takes and dataset is self.datasets.get(self._validation.train_subset)
        if is_training and not self._validation.disable_validation:
            for subset in self._validation.valid_subset.split(","):
                # where that is the training set, fairseq validates on the batches of the training
                if subset != self._validation.train_subset and subset in self.datasets:
                    self._check_lengths(subset)
        return super().get_batch_iterator(dataset, *args, **kwargs)

    def _check_lengths(self, subset: str) -> None:
        dataset = self.datasets[subset]
        taken, too_long = dataset.filter_indices_by_size(np.arange(len(dataset)), self._takes)
        if len(too_long) and not self._validation.skip_invalid_size_inputs_valid_test:
            source, target = map(int, self._takes)
            refuse(
                f"{self._describe_first(too_long, subset)}, and the model takes {source} and "
                f"{target}: raise --max-source-positions and --max-target-positions, leave it out "
                "of validation by --skip-invalid-size-inputs-valid-test, or shorten it and prepare "
                "again"
            )
        max_tokens = self._max_tokens_valid()
        lengths = np.array([dataset.num_tokens(index) for index in taken])
        too_long = taken[lengths > max_tokens] if max_tokens > 0 else []
        if len(too_long):
            refuse(
                f"{self._describe_first(too_long, subset)}, more than the {max_tokens} of a "
                "batch: raise --max-tokens-valid, which is --max-tokens by default, or shorten it "
                "and prepare again"
            )

    def _max_tokens_valid(self) -> int:
        """The tokens of a batch, 0 without a limit."""
        max_tokens = self._validation.max_tokens_valid or 0
        if isinstance(max_tokens, str):  # fairseq gives it so to a task without a dataclass
            given = not max_tokens.startswith("${")  # else it is that of training
            max_tokens = int(max_tokens if given else self._validation.max_tokens or 0)
        return max_tokens

    def _describe_first(self, indices: Sequence[int], subset: str) -> str:
        """Name the first of these sentences and its lengths, and say if there are more of them."""
        source, target = self.datasets[subset].size(indices[0])
        name, index = self.find_sentence(subset, indices[0])
        more = f", the first of {len(indices)}," if len(indices) > 1 else ""
        return (
            f"sentence {index + 1} of the validation set {name}{more} has {source} source and "
            f"{target} target tokens"
        )

    def find_sentence(self, subset: str, index: int) -> tuple[str, int]:
        """The name of the text that has a sentence of a subset, and the sentence's index there."""
        return subset, index
