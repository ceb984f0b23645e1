"""make a fairseq data directory out of raw parallel text

The raw text PREFIX.SOURCE and PREFIX.TARGET of each split, one sentence a line, becomes

- ``sentencepiece.model`` and ``sentencepiece.vocab``: one unigram SentencePiece model of both
  languages (Kudo, 2018), by default trained on the filtered training text alone;
- ``dict.LANG.txt`` and ``{train,valid,test,test1,...}.SOURCE-TARGET.LANG.{bin,idx}``: the
  dictionary and the binaries that fairseq-train reads;
- ``{valid,test,test1,...}.{src.SOURCE,ref.TARGET}``: the sources and the references as text;
- ``prepare.json``: the options, the text and the counts; it is written last and marks a finished
  directory.

Training pairs are filtered as in Xu et al. (2022), appendix A; no other pair is ever dropped. The
validation text is given, or held out from the training pairs that the filters keep. The text is
streamed, except that SentencePiece holds its training text in memory: --sentencepiece-sample limits
that text.

The references stay as they are, while SentencePiece normalises the text that becomes pieces. For
each test set the score of a model without any error is measured; where it is below 100, it is
printed and recorded, and so are the number of <unk> in each file, and the validation and test lines
that are longer than models take by default.

The files depend only on the options and the text, so two runs make bitwise identical files. They
are written in ``.partial`` inside the directory and moved out when they are whole. A run that was
killed resumes after the last finished step. ``intra-distill add-test`` adds test sets to a finished
directory, and ``intra-distill encode`` cuts other text into its pieces.
"""

import argparse
from dataclasses import fields

from ..tools.directory import outcome
from ..tools.preparation.request import TranslationPreparation, add_preparation_arguments
from ..tools.preparation.translation import prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source-lang", required=True, metavar="LANG", help="source language")
    parser.add_argument("--target-lang", required=True, metavar="LANG", help="target language")
    parser.add_argument(
        "--train",
        required=True,
        metavar="PREFIX",
        help="training text PREFIX.LANG, one sentence a line",
    )
    parser.add_argument(
        "--valid", metavar="PREFIX", help="validation text; or give one of the next two options"
    )
    parser.add_argument(
        "--hold-out-every",
        type=int,
        metavar="N",
        help="validate on every N-th training pair that the filters keep",
    )
    parser.add_argument(
        "--hold-out",
        type=int,
        metavar="N",
        help="validate on N training pairs that the filters keep, drawn with a fixed seed",
    )
    add_preparation_arguments(parser)


def main(args: argparse.Namespace) -> None:
    values = {field.name: getattr(args, field.name) for field in fields(TranslationPreparation)}
    preparation = TranslationPreparation(**{**values, "test": tuple(args.test.split(","))})
    print(outcome(args.destdir, made=prepare(preparation)))
