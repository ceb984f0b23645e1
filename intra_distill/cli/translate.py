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

from ..tools.deployment.translator import Translator
from ..tools.options import add_data_argument, check_number
from ..tools.scoring.evaluator import Inference, add_inference_arguments
from ..tools.scoring.search import (
    Hypothesis,
    Search,
    add_nbest_argument,
    add_search_arguments,
    quieten_fairseq,
)

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
    add_nbest_argument(
        parser,
        help="print the N best translations of each line, a line each: the number of the line, "
        "from 0, fairseq's score and the text, separated by tabs",
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
    check_number("--buffer-size", args.buffer_size, 1, MAX_BUFFER_SIZE)
    search = Search.of(args) or Search()
    translator = Translator(args.data, args.path, search, Inference(args.max_tokens, args.cpu))
    stream = translator.stream(sys.stdin.buffer, args.buffer_size)
    for number, hypotheses in enumerate(stream):
        text = lines_of(number, hypotheses) if args.nbest else best_of(hypotheses)
        # as UTF-8 whatever the terminal has, and at once: someone may wait at the pipe's other end
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()


def best_of(hypotheses: list[Hypothesis]) -> str:
    """The line of the best; an empty one if there was nothing to translate."""
    return f"{hypotheses[0].text if hypotheses else ''}\n"


def lines_of(number: int, hypotheses: list[Hypothesis]) -> str:
    """The lines of an n-best list."""
    return "".join(f"{number}\t{each.score}\t{each.text}\n" for each in hypotheses)
