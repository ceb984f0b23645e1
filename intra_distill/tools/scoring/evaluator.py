"""What an evaluation needs of a kind of data directory, and what all kinds share."""

import argparse
import hashlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from fairseq.tasks import FairseqTask
from torch import nn

from ...checkpoints import load_model, num_passes, num_updates, read_checkpoint
from ...errors import UserError
from ...files import sha256
from ..options import MAX_TOKENS, check_number
from .results import Checkpoint, Result, SearchRecord, TestSet, fits


@dataclass(frozen=True)
class Inference:
    """How any model is run. ``max_tokens`` limits a batch, padding included."""

    max_tokens: int = 4096
    cpu: bool = False

    def check(self) -> None:
        """Raise UserError for a number out of range."""
        check_number("--max-tokens", self.max_tokens, 1, MAX_TOKENS)


def add_inference_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of :class:`Inference`."""
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=Inference.max_tokens,
        metavar="N",
        help="tokens in a batch, padding included (default: %(default)s)",
    )
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU")


class OpenCheckpoint:
    """A checkpoint that is evaluated: hashed, read and built once, each when first needed.

    A large one is hashed, read and built for minutes, and evaluated on dozens of subsets.
    """

    def __init__(self, path: Path, task_of: Callable[[Path, dict[str, Any]], FairseqTask]) -> None:
        """
        Args:
            path: its file
            task_of: as in :class:`Evaluator`
        """
        self.path, self._task_of = path, task_of

    @property
    def members(self) -> tuple["OpenCheckpoint", ...]:
        """The checkpoints that are run together."""
        return (self,)

    @cached_property
    def sha256(self) -> str:
        return sha256(self.path)

    @cached_property
    def state(self) -> dict[str, Any]:
        """Its content; UserError if it is none of fairseq-train, or could run code."""
        return read_checkpoint(self.path)

    @cached_property
    def task(self) -> FairseqTask:
        """The task of the data; UserError if the checkpoint is of other data."""
        return self._task_of(self.path, self.state)

    @cached_property
    def model(self) -> nn.Module:
        return load_model(self.path, self.task)

    @cached_property
    def record(self) -> Checkpoint:
        """What a result says of it."""
        return Checkpoint(
            path=str(self.path),
            sha256=self.sha256,
            seed=self.state["cfg"]["common"]["seed"],
            updates=num_updates(self.state),
            training_seconds=training_seconds(self.path, self.state),
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            num_passes=num_passes(self.state),
        )


class OpenEnsemble:
    """Checkpoints that translate together: fairseq averages the probabilities that they give."""

    def __init__(self, members: tuple[OpenCheckpoint, ...]) -> None:
        """
        Raises:
            UserError: two checkpoints are the same
        """
        self.members = members
        paths: dict[str, Path] = {}  # by SHA-256
        for member in members:
            if (same := paths.setdefault(member.sha256, member.path)) is not member.path:
                raise UserError(f"--path {member.path} is the same as {same}: leave it out")

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of those of its members, in their order."""
        return hashlib.sha256("".join(each.sha256 for each in self.members).encode()).hexdigest()

    @cached_property
    def record(self) -> Checkpoint:
        """What a result says of it as if it were one model, whose seed is that of the first."""
        records = [member.record for member in self.members]
        seconds = [record.training_seconds for record in records]
        return Checkpoint(
            path=os.pathsep.join(record.path for record in records),
            sha256=self.sha256,
            seed=records[0].seed,
            updates=max(record.updates for record in records),
            training_seconds=None if None in seconds else sum(seconds),
            parameters=sum(record.parameters for record in records),
            num_passes=max(record.num_passes for record in records),
        )


OpenModel = OpenCheckpoint | OpenEnsemble  # what is run as one model


class Output(NamedTuple):
    """What a model makes of a subset."""

    lines: list[str]  # a translation or a prediction per sentence or question, in corpus order
    search: SearchRecord | None = None  # of a translation
    nbest: Sequence[str] = ()  # the lines of its n-best list, if that is asked for


class Evaluator(ABC):
    """A data directory, and how its models are run on a subset.

    Attributes:
        data: the directory
        inference: how models are run
        default_metrics: the primary one first
    """

    TASK: ClassVar[str]  # as in :class:`Result`
    DEFAULT_SUBSET: ClassVar[str]  # where one is wanted
    DONE: ClassVar[str]  # what happens to the sentences, such as "translated"
    PACKAGES: ClassVar[tuple[str, ...]]  # whose versions matter, besides torch and fairseq

    data: Path
    inference: Inference
    default_metrics: tuple[str, ...]

    @property
    def default_subsets(self) -> tuple[str, ...]:
        """The subsets that a whole evaluation is of; UserError if there are none."""
        return (self.DEFAULT_SUBSET,)

    def open(self, *checkpoints: Path) -> OpenModel:
        """Open a checkpoint, or several that are run together, for all subsets.

        Of a single one nothing is read before it is needed.

        Raises:
            UserError: this kind of model is not run so
        """
        members = tuple(OpenCheckpoint(path, self.task_of) for path in checkpoints)
        return members[0] if len(members) == 1 else OpenEnsemble(members)

    @abstractmethod
    def open_test_set(self, subset: str) -> tuple[TestSet, list[str]] | None:
        """Describe a subset and read its references, one per output line; None if it has none.

        Raises:
            UserError: there is no such subset, or its references do not fit
        """

    @abstractmethod
    def text_files(self, test_set: TestSet) -> dict[str, Path]:
        """The text of a test set that belongs beside its result: names there, and the files."""

    def tokenizer_of(self, test_set: TestSet) -> str | None:
        """BLEU's tokeniser; None if the output is no translation."""
        return None

    @abstractmethod
    def output_name(self, subset: str) -> str:
        """The name of the file of an output."""

    def nbest_name(self, subset: str) -> str | None:
        """The name of the file of an n-best list; None if the output is no translation."""
        return None

    @abstractmethod
    def task_of(self, checkpoint: Path, state: dict[str, Any]) -> FairseqTask:
        """Set up the task of the data, as the checkpoint with this content needs it.

        Raises:
            UserError: the checkpoint is of other data
        """

    @abstractmethod
    def refuse_misfit(self, checkpoint: OpenCheckpoint, subset: str) -> None:
        """Raise UserError if a model cannot be run on a subset, as for a sentence too long."""

    @abstractmethod
    def run(self, checkpoint: OpenModel, subset: str) -> Output:
        """Run a model on a subset that :meth:`refuse_misfit` has let pass, for each member."""

    @abstractmethod
    def has_made(self, result: Result, directory: Path) -> bool:
        """Whether the same options made a result of the same checkpoint and test set.

        Args:
            directory: of the result, which may lack a file that is asked for
        """


def training_seconds(path: Path, state: dict[str, Any]) -> float | None:
    """The seconds of the whole training, read from the last checkpoint beside ``path``.

    A last checkpoint that is damaged or has no time keeps no other from being evaluated: the time
    is None, and the reason is printed on standard error.
    """
    last = path.with_name("checkpoint_last.pt")
    try:
        if last.is_file() and not last.samefile(path):
            path, state = last, read_checkpoint(last)
        seconds = state["extra_state"].get("previous_training_time")
        if fits(seconds, float):
            return seconds
        reason = f"{path} has none"
    except UserError as error:
        reason = str(error)
    print(f"the training time is unknown: {reason}", file=sys.stderr)
    return None
