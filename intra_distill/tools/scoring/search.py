"""Beam search: its options, and fairseq's generator run on a test set."""

import argparse
import io
import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.sequence_generator import SequenceGenerator
from fairseq_cli import generate
from omegaconf import DictConfig

from ...errors import UserError
from ..options import as_argument, check_number, user_dir
from .evaluator import Inference
from .results import PIECES, PIECES_FOR_EACH

MAX_BEAM = 1000  # a larger beam only fills the memory
MAX_LENPEN = 100  # an exponent of the length: the power must stay finite
MAX_LEN = 10_000  # of --max-len-a and --max-len-b
NO_LIMIT = str(2**31 - 1)  # of positions: fairseq's is 1,024, also for a model that takes more


@dataclass(frozen=True)
class Search:
    """The options of the beam search.

    ``max_len_a`` and ``max_len_b`` limit a hypothesis as in fairseq: it has at most a · x + b
    pieces, where x is the number of pieces of the longest source in its batch. Without both, the
    limit is the larger of 200 and 2 · x. ``nbest`` hypotheses of a sentence are written.
    """

    beam: int = 5
    lenpen: float = 1.0
    max_len_a: float | None = None
    max_len_b: int | None = None
    nbest: int = 1

    @classmethod
    def of(cls, args: argparse.Namespace) -> "Search | None":
        """Take the options that a command declares of these; None if none is given."""
        options = {field.name: getattr(args, field.name, None) for field in fields(cls)}
        given = {name: value for name, value in options.items() if value is not None}
        return cls(**given) if given else None

    @property
    def has_default_limit(self) -> bool:
        """Whether the limit is the default: 200 pieces or, if that is more, twice the source."""
        return self.max_len_a is self.max_len_b is None

    def check(self) -> None:
        """Raise UserError for numbers out of range."""
        check_number("--beam", self.beam, 1, MAX_BEAM)
        if not 0 <= self.lenpen <= MAX_LENPEN:
            raise UserError(f"--lenpen must be from 0 to {MAX_LENPEN}, not {self.lenpen}")
        if self.max_len_a is not None:
            check_number("--max-len-a", self.max_len_a, 0, MAX_LEN)
        if self.max_len_b is not None:
            check_number("--max-len-b", self.max_len_b, 1, MAX_LEN)
        check_number("--nbest", self.nbest, 1)
        if self.nbest > self.beam:
            raise UserError(f"--nbest {self.nbest} is more than --beam {self.beam} finds: raise it")


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of :class:`Search` but --nbest; they are None unless they are given."""
    parser.add_argument(
        "--beam",
        type=int,
        metavar="N",
        help=f"beam size of a translation (default: {Search.beam})",
    )
    parser.add_argument(
        "--lenpen",
        type=float,
        metavar="P",
        help="length penalty: below 1 it favours shorter translations, above 1 longer ones "
        f"(default: {Search.lenpen})",
    )
    parser.add_argument(
        "--max-len-a",
        type=float,
        metavar="A",
        help="cut a translation at A × source + B pieces, as in fairseq-generate, where A is 0 "
        f"and B {PIECES} by default (default without both: {PIECES} pieces or, if that is more, "
        f"{PIECES_FOR_EACH} × source)",
    )
    parser.add_argument("--max-len-b", type=int, metavar="B", help="see --max-len-a")


def add_nbest_argument(parser: argparse.ArgumentParser, help: str) -> None:
    """Declare the option of :class:`Search` that not every command has."""
    parser.add_argument("--nbest", type=int, metavar="N", help=help)


# fairseq's generator


def task_arguments(data: Path, langs: tuple[str, str]) -> list[str]:
    """The part of a command line that sets up fairseq's task in a data directory."""
    return [
        as_argument(data),
        *("--user-dir", str(user_dir())),
        *("--task", "translation"),
        *("--source-lang", langs[0]),
        *("--target-lang", langs[1]),
        *("--max-source-positions", NO_LIMIT),
        *("--max-target-positions", NO_LIMIT),
    ]


def generator_arguments(
    search: Search,
    inference: Inference,
    task: list[str],
    checkpoints: Sequence[Path],
    post_process: str,
) -> list[str]:
    """The command line of fairseq-generate for a search.

    The default limit of length becomes 2 · x + 200 pieces, and :func:`translate` lowers it.

    Args:
        task: the arguments that set up the task and name its subset
        checkpoints: several are an ensemble
        post_process: how pieces become words
    """
    a, b = search.max_len_a, search.max_len_b
    if search.has_default_limit:
        a = PIECES_FOR_EACH
    arguments = [
        *task,
        *("--path", os.pathsep.join(map(as_argument, checkpoints))),
        *("--beam", str(search.beam)),
        *("--lenpen", str(search.lenpen)),
        *("--max-len-a", str(a or 0)),
        *("--max-len-b", str(PIECES if b is None else b)),
        *("--nbest", str(search.nbest)),
        *("--max-tokens", str(inference.max_tokens)),
        # with a larger multiple fairseq drops a last batch of another size
        *("--required-batch-size-multiple", "1"),
        # a worker process saves no time here, and fairseq waits for its end
        *("--num-workers", "0"),
        *("--post-process", post_process),
        *("--log-interval", "10"),
        # the score is not used, but fairseq's default scorer fails if all hypotheses are empty
        *("--scoring", "sacrebleu"),
    ]
    return [*arguments, "--cpu"] if inference.cpu else arguments


def generator_config(arguments: list[str]) -> DictConfig:
    """Parse a command line of fairseq-generate into fairseq's configuration."""
    parser = options.get_generation_parser()
    return convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, arguments))


class Hypothesis(NamedTuple):
    """A translation that the search has found."""

    score: str  # fairseq's: log2 of its probability, divided by its length^lenpen
    text: str  # in words


class Translation(NamedTuple):
    """The result of a search."""

    hypotheses: list[str]  # the best one for each sentence, detokenised, in corpus order
    cut: int  # how many reached the limit of length before the model ended them
    unknown: int  # how many have an <unk>
    nbest: Sequence[list[Hypothesis]] = ()  # for each sentence all that were asked for


def translate(cfg: DictConfig, sentences: int, default_limit: bool) -> Translation:
    """Run fairseq's generator.

    Args:
        cfg: of fairseq-generate
        sentences: their number in the test set
        default_limit: cut at 200 pieces or twice the source instead of the limit in ``cfg``
    """
    output = io.StringIO()
    log = logging.getLogger("sacrebleu")
    log.disabled = True  # it warns because fairseq scores text that is still in pieces
    with watch_search(default_limit) as count:
        generate._main(cfg, output)
    log.disabled = False
    nbest = in_corpus_order(output.getvalue(), sentences, cfg.generation.nbest)
    return Translation([best.text for best, *_ in nbest], count["cut"], count["unknown"], nbest)


@contextmanager
def watch_search(default_limit: bool) -> Iterator[Counter[str]]:
    """Count the best hypotheses that were ``cut``, and those with an ``unknown`` piece.

    fairseq's output has neither, and the limit of length depends on the batch. ``default_limit``
    sets it for each batch: 200 pieces or, if that is more, twice the longest source.
    """
    count = Counter(cut=0, unknown=0)
    generate_batch = SequenceGenerator.generate  # which each task calls in its own way

    def watched(generator: SequenceGenerator, models, sample, **kwargs):
        source = sample["net_input"]["src_tokens"].size(1)
        if default_limit:
            long = PIECES_FOR_EACH * source > PIECES
            generator.max_len_a, generator.max_len_b = (PIECES_FOR_EACH, 0) if long else (0, PIECES)
        limit = int(generator.max_len_a * source + generator.max_len_b)
        limit = min(limit, generator.max_len - 1)  # of the model
        batch = generate_batch(generator, models, sample, **kwargs)
        for best in (hypotheses[0]["tokens"] for hypotheses in batch):
            count["cut"] += len(best) > limit  # it ends with </s>
            count["unknown"] += bool(best.eq(generator.unk).any())
        return batch

    SequenceGenerator.generate = watched
    try:
        yield count
    finally:
        SequenceGenerator.generate = generate_batch


def in_corpus_order(output: str, sentences: int, nbest: int) -> list[list[Hypothesis]]:
    """Extract the hypotheses from the generator's output, which has the order of its batches.

    They are the lines ``D-NUMBER<tab>SCORE<tab>HYPOTHESIS``, numbered from 0 in corpus order, with
    the best of a sentence first. A search may find fewer than ``nbest``.
    """
    lines = [line[2:].split("\t", 2) for line in output.split("\n") if line.startswith("D-")]
    found: dict[int, list[Hypothesis]] = {}
    for number, score, text in lines:
        found.setdefault(int(number), []).append(Hypothesis(score, text))
    if sorted(found) != list(range(sentences)) or max(map(len, found.values())) > nbest:
        raise RuntimeError(
            f"fairseq wrote {len(lines)} hypotheses that are not up to {nbest} for each of the "
            f"{sentences} sentences"
        )
    return [found[number] for number in range(sentences)]


def quieten_fairseq() -> None:
    """Limit fairseq's log to warnings and progress."""
    # Importing fairseq sets the level DEBUG. Without any configuration the generator would
    # write the log into its output.
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("fairseq.logging.progress_bar").setLevel(logging.INFO)
    warnings.simplefilter("ignore")  # from hydra and torch, about how fairseq uses them
