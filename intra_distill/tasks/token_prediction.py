"""What tagging and the prediction of spans share: data, and a head on each position."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from fairseq.data import (
    Dictionary,
    FairseqDataset,
    IdDataset,
    NestedDictionaryDataset,
    NumelDataset,
    NumSamplesDataset,
    RightPadDataset,
    SortDataset,
    data_utils,
)
from fairseq.dataclass import FairseqDataclass
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.tasks import FairseqTask
from omegaconf import II, MISSING
from torch import nn

from ..errors import refuse


@dataclass
class TokenPredictionConfig(FairseqDataclass):
    data: str = field(default=MISSING, metadata={"help": "data directory"})
    max_positions: int = field(
        default=512, metadata={"help": "most symbols of an input that the model takes"}
    )
    no_shuffle: bool = field(
        default=False, metadata={"help": "keep inputs of equal length in the order of the corpus"}
    )
    seed: int = II("common.seed")


class TokenPredictionTask(FairseqTask):
    """A task of one pass whose model has a head that is applied at each position of its input.

    Raises:
        SystemExit: with one line, for data that is malformed or made by another command, or a model
            without heads for tokens
    """

    HEAD: ClassVar[str]  # the name of the head
    MADE_BY: ClassVar[str]  # the command that makes the data

    def __init__(self, cfg: TokenPredictionConfig) -> None:
        super().__init__(cfg)
        if cfg.max_positions < 1:
            refuse(f"--max-positions must be at least 1, not {cfg.max_positions}")
        self.dictionary = self.load_dictionary(str(self._file("input0", "dict.txt")))

    @classmethod
    def load_dictionary(cls, filename: str) -> Dictionary:
        """Load a dictionary; <mask> is the last, as in fairseq's prediction of sentences."""
        dictionary = Dictionary.load(filename)
        dictionary.add_symbol("<mask>")
        return dictionary

    @property
    def source_dictionary(self) -> Dictionary:
        return self.dictionary

    @property
    def target_dictionary(self) -> None:
        """None: the targets are no text."""
        return None

    def max_positions(self) -> int:
        return self.cfg.max_positions

    @property
    def num_outputs(self) -> int:
        """Outputs of the head at a position."""
        raise NotImplementedError

    def load_targets(self, split: str, inputs: FairseqDataset) -> FairseqDataset:
        """Load the targets of a subset, one for each input, and refuse what does not fit."""
        raise NotImplementedError

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> nn.Module:
        arch = getattr(cfg, "_name", None) or cfg.arch
        if not hasattr(ARCH_MODEL_REGISTRY[arch], "register_token_head"):
            refuse(f"--arch {arch} has no heads for tokens: choose another, such as xlm_roberta")
        model = super().build_model(cfg, from_checkpoint)
        model.register_token_head(self.HEAD, self.num_outputs)
        return model

    def build_criterion(self, cfg: Any, *args: Any, **kwargs: Any) -> nn.Module:
        if getattr(cfg, "regression_target", False):
            refuse("--regression-target is of sentences: leave it out")
        return super().build_criterion(cfg, *args, **kwargs)

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> FairseqDataset:
        inputs = self.load_indexed("input0", split, self.dictionary)
        pad = self.dictionary.pad()
        dataset = NestedDictionaryDataset(
            {
                "id": IdDataset(),
                "net_input": {
                    "src_tokens": RightPadDataset(inputs, pad_idx=pad),
                    "src_lengths": NumelDataset(inputs),
                },
                "nsentences": NumSamplesDataset(),
                "ntokens": NumelDataset(inputs, reduce=True),
                "target": self.load_targets(split, inputs),
            },
            sizes=[inputs.sizes],
        )
        if not self.cfg.no_shuffle:
            with data_utils.numpy_seed(self.cfg.seed):
                order = np.random.permutation(len(inputs))
            dataset = SortDataset(dataset, sort_order=[order])
        self.datasets[split] = dataset
        return dataset

    def load_indexed(self, key: str, split: str, dictionary: Dictionary) -> FairseqDataset:
        """Load what is binarised in ``DATA/key/split``; refuse where it is missing or empty."""
        path = Path(self.cfg.data, key, split)
        for file in (path.with_name(f"{split}.{extension}") for extension in ("bin", "idx")):
            if not file.is_file() or file.stat().st_size == 0:
                refuse(f"{self.cfg.data} has no subset {split}: {file} is missing or empty")
        return data_utils.load_indexed_dataset(str(path), dictionary)

    def _file(self, *names: str) -> Path:
        path = Path(self.cfg.data, *names)
        if not path.is_file():
            refuse(f"{path} is missing: {self.cfg.data} is no data directory of {self.MADE_BY}")
        return path
