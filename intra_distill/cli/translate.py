r"""translate raw text by one checkpoint, or by an ensemble of several

DIR is the data directory, made by ``intra-distill prepare``, that the checkpoints were trained on.
Text in the source language comes from the standard input, one sentence a line::

    intra-distill translate DIR --path run/checkpoint_best.pt < text.de > text.en

It is cut into pieces, lower-cased and normalised as DIR is; a line is translated as ``evaluate``
translates it. Each line gives one line, in the same order: an empty one an empty one. A line that
is longer than the model takes is translated as far as that, and standard error names it.

So many lines as ``--buffer-size`` says are read before they are translated together, sorted by
length. With ``--buffer-size 1`` each line is answered at once.
"""

import argparse
import sys
from pathlib import Path

from ..tools.deployment.translator import Hypothesis, Translator
from ..tools.options import add_data_argument, check_number
from ..tools.scoring.evaluator import Inference, add_inference_arguments
from ..tools.scoring.search import MAX_BEAM, Search, add_search_arguments, quieten_fairseq

BUFFER_SIZE, MAX_BUFFER_SIZE = 1000, 10**6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill translate``."""
    add_data_argument(parser)
    parser.add_argument(
        "--path",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE",
        help="checkpoint, or several: an ensemble, which translates by the mean of their "
        "probabilities",
    )
    add_search_arguments(parser)
    parser.add_argument(
        "--nbest",
        type=int,
        metavar="N",
        help="print the N best translations of each line, at most --beam of them, a line each: the "
        "number of the source line, the score (mean log probability of a piece in bits), and the "
        "text, separated by tabs",
    )
    add_inference_arguments(parser)
    parser.add_argument(
        "--buffer-size",
        type=int,
        default=BUFFER_SIZE,
        metavar="N",
        help="lines that are read and translated together (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    quieten_fairseq()
    search = Search.of(args) or Search()
    search.check()
    check_number("--buffer-size", args.buffer_size, 1, MAX_BUFFER_SIZE)
    if args.nbest is not None:
        check_number("--nbest", args.nbest, 1, min(search.beam, MAX_BEAM))
    translator = Translator(args.data, args.path, search, Inference(args.max_tokens, args.cpu))
    stream = translator.stream(sys.stdin.buffer, args.buffer_size)
    for number, hypotheses in enumerate(stream, start=1):
        # as UTF-8 whatever the terminal has, and at once: someone may wait at the pipe's other end
        sys.stdout.buffer.write(as_text(number, hypotheses, args.nbest).encode())
        sys.stdout.buffer.flush()


def as_text(number: int, hypotheses: list[Hypothesis], nbest: int | None) -> str:
    """The lines to print for a line of the source."""
    if nbest is None:
        return f"{hypotheses[0].text if hypotheses else ''}\n"
    return "".join(f"{number}\t{each.score:.4f}\t{each.text}\n" for each in hypotheses[:nbest])
