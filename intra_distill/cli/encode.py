r"""cut text into the pieces of a data directory, as fairseq-interactive takes them

DIR is a data directory made by ``intra-distill prepare``. Text of either language comes from the
standard input, one sentence a line; of each line the pieces are printed as soon as it is there::

    intra-distill encode DIR < text.de | fairseq-interactive DIR --path run/checkpoint_best.pt \
        --user-dir "$(intra-distill user-dir)" --beam 5 --remove-bpe sentencepiece

They are those that ``prepare`` made of such a line, bitwise: lower-cased if DIR is, normalised by
its rule, with <unk> for characters that are in no piece.
"""

import argparse
import sys

from ..tools.options import add_data_argument
from ..tools.preparation.pieces import encode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_argument(parser)


def main(args: argparse.Namespace) -> None:
    for pieces in encode(args.data, sys.stdin.buffer):
        # as UTF-8 whatever the terminal has, and at once: someone may wait at the pipe's other end
        sys.stdout.buffer.write(f"{pieces}\n".encode())
        sys.stdout.buffer.flush()
