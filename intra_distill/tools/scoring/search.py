"""Beam search: its options, and fairseq's generator run on a test set."""

import argparse
import io
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.sequence_generator import SequenceGenerator
from fairseq.tasks import FairseqTask
from fairseq_cli import generate
from omegaconf import DictConfig

from ...errors import UserError
from ..options import MAX_TOKENS, as_argument, check_number, user_dir

# where a hypothesis is cut unless the user says: fairseq's 200 pieces, or twice the source
PIECES, PIECES_FOR_EACH = 200, 2
MAX_BEAM = 1000  # a larger one would fill the memory, not find more
MAX_LENPEN = 100  # the power of a hypothesis' length, which has to be a number
MAX_LEN = 10_000  # pieces of a hypothesis, for each piece of the source and beside


@dataclass(frozen=True)
class Search:
    """What is translated, and by which beam search.

    ``max_len_a`` and ``max_len_b`` bound a hypothesis as in fairseq: it has at most a · x + b
    pieces, where x is the number of pieces of the longest source in its batch. Without both it has
    at most the larger of 200 and 2 · x. ``max_tokens`` bounds a batch, in tokens of its longer
    side, padding included.
    """

    subset: str = "test"
    beam: int = 5
    lenpen: float = 1.0
    max_len_a: float | None = None
    max_len_b: int | None = None
    max_tokens: int = 4096
    cpu: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace) -> "Search":
        """The search that :func:`add_search_arguments` declares the options of."""
        return cls(
            subset=args.gen_subset,
            beam=args.beam,
            lenpen=args.lenpen,
            max_len_a=args.max_len_a,
            max_len_b=args.max_len_b,
            max_tokens=args.max_tokens,
            cpu=args.cpu,
        )

    @property
    def has_default_limit(self) -> bool:
        """Whether a hypothesis is cut at 200 pieces, or at twice the source where that is more."""
        return self.max_len_a is self.max_len_b is None

    def check(self) -> None:
        """Raise UserError for numbers without meaning."""
        check_number("--beam", self.beam, 1, MAX_BEAM)
        if not 0 <= self.lenpen <= MAX_LENPEN:
            raise UserError(f"--lenpen must be a number from 0 on, not {self.lenpen}")
        if self.max_len_a is not None:
            check_number("--max-len-a", self.max_len_a, 0, MAX_LEN)
        if self.max_len_b is not None:
            check_number("--max-len-b", self.max_len_b, 1, MAX_LEN)
        check_number("--max-tokens", self.max_tokens, 1, MAX_TOKENS)


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of what is translated, and how."""
    parser.add_argument(
        "--gen-subset",
        default=Search.subset,
        metavar="SUBSET",
        help="subset to translate (default: %(default)s)",
    )
    parser.add_argument(
        "--beam",
        type=int,
        default=Search.beam,
        metavar="N",
        help="beam size (default: %(default)s)",
    )
    parser.add_argument(
        "--lenpen",
        type=float,
        default=Search.lenpen,
        metavar="P",
        help="length penalty: below 1 favours shorter, above 1 longer translations "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--max-len-a",
        type=float,
        metavar="A",
        help="cut a translation at A × source + B pieces, as fairseq-generate does, whose defaults "
        f"are 0 and 200 (default without both: {PIECES}, or {PIECES_FOR_EACH} × source where that "
        "is more)",
    )
    parser.add_argument("--max-len-b", type=int, metavar="B", help="see --max-len-a")
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=Search.max_tokens,
        metavar="N",
        help="source tokens in a batch (default: %(default)s)",
    )
    parser.add_argument("--cpu", action="store_true", help="translate on the CPU")


# The search


def generator_arguments(
    search: Search, data: Path, checkpoint: Path, langs: tuple[str, str]
) -> list[str]:
    """The command line of fairseq-generate for a search in a data directory.

    Where no limit of length is asked for, it has one that a hypothesis meets only after ours.
    """
    a, b = search.max_len_a, search.max_len_b
    if search.has_default_limit:
        a = PIECES_FOR_EACH
    arguments = [
        as_argument(data),
        *("--user-dir", str(user_dir())),
        *("--task", "translation"),
        *("--source-lang", langs[0]),
        *("--target-lang", langs[1]),
        *("--gen-subset", search.subset),
        *("--path", as_argument(checkpoint)),
        *("--beam", str(search.beam)),
        *("--lenpen", str(search.lenpen)),
        *("--max-len-a", str(a or 0)),
        *("--max-len-b", str(PIECES if b is None else b)),
        *("--max-tokens", str(search.max_tokens)),
        # with a larger multiple fairseq drops the last batch where it is not one
        *("--required-batch-size-multiple", "1"),
        # a worker process wins nothing here, and its end is waited for
        *("--num-workers", "0"),
        *("--post-process", "sentencepiece"),
        *("--log-interval", "10"),
        # its score is not used, but fairseq's own scorer fails where all hypotheses are empty
        *("--scoring", "sacrebleu"),
    ]
    return [*arguments, "--cpu"] if search.cpu else arguments


def generator_config(arguments: list[str]) -> DictConfig:
    """fairseq's configuration for the command line of fairseq-generate."""
    parser = options.get_generation_parser()
    return convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, arguments))


class Translation(NamedTuple):
    """What a search found."""

    hypotheses: list[str]  # the best one of each sentence, detokenised, in corpus order
    cut: int  # how many are as long as the search allows
    unknown: int  # how many have an <unk>


def translate(cfg: DictConfig, sentences: int, grows: bool) -> Translation:
    """Run fairseq's generator.

    Args:
        cfg: of fairseq-generate
        sentences: of the test set
        grows: cut hypotheses at 200 pieces, or twice the source, and not where ``cfg`` says
    """
    output = io.StringIO()
    log = logging.getLogger("sacrebleu")
    log.disabled = True  # fairseq has it score text that is still in pieces, which it warns of
    with watch_search(grows) as seen:
        generate._main(cfg, output)
    log.disabled = False
    return Translation(in_corpus_order(output.getvalue(), sentences), seen["cut"], seen["unknown"])


@contextmanager
def watch_search(grows: bool) -> Iterator[Counter[str]]:
    """Count the best hypotheses that were ``cut``, and those with an ``unknown`` piece.

    fairseq's output says neither: how long a hypothesis may be depends on the batch. With ``grows``
    the limit of a batch of short sentences is that of fairseq, whatever is in the other batches.
    """
    seen = Counter(cut=0, unknown=0)
    inference_step = FairseqTask.inference_step

    def watched(self, generator: SequenceGenerator, models, sample, *args, **kwargs):
        source = sample["net_input"]["src_tokens"].size(1)
        if grows:
            long = PIECES_FOR_EACH * source > PIECES
            generator.max_len_a, generator.max_len_b = (PIECES_FOR_EACH, 0) if long else (0, PIECES)
        limit = int(generator.max_len_a * source + generator.max_len_b)
        limit = min(limit, generator.max_len - 1)  # of the model
        batch = inference_step(self, generator, models, sample, *args, **kwargs)
        for best in (hypotheses[0]["tokens"] for hypotheses in batch):
            seen["cut"] += len(best) > limit  # it ends with </s>
            seen["unknown"] += bool(best.eq(generator.unk).any())
        return batch

    FairseqTask.inference_step = watched
    try:
        yield seen
    finally:
        FairseqTask.inference_step = inference_step


def in_corpus_order(output: str, sentences: int) -> list[str]:
    """The hypotheses in the generator's output, which is in the order of its batches.

    They are its lines ``D-NUMBER<tab>SCORE<tab>HYPOTHESIS``, numbered from 0.
    """
    lines = [line[2:].split("\t", 2) for line in output.split("\n") if line.startswith("D-")]
    hypotheses = sorted((int(number), text) for number, _, text in lines)
    if [number for number, _ in hypotheses] != list(range(sentences)):
        raise RuntimeError(
            f"fairseq wrote {len(hypotheses)} hypotheses that are not one for each of the "
            f"{sentences} sentences"
        )
    return [text for _, text in hypotheses]


def quieten_fairseq() -> None:
    """Show of fairseq's log the warnings and the progress alone."""
    # Importing fairseq has set the log up for debugging. Without a set-up the generator would
    # have the log written among its output.
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("fairseq.logging.progress_bar").setLevel(logging.INFO)
    warnings.simplefilter("ignore")  # hydra and torch complain of how fairseq uses them
