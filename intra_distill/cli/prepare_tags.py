"""make a fairseq data directory of tagged words, for named entity recognition

RAW holds ``train.tsv``, ``valid.tsv`` and ``test-NAME.tsv``, as intra-distill panx makes them: a
word, a tab and its tag a line, and an empty line after each sentence. The tags are O, B-TYPE and
I-TYPE; train.tsv has all that there are. The files become

- ``input0/``: XLM-R's pieces of the words between ``<s>`` and ``</s></s>``, as fairseq reads them;
- ``label/``: the tag of each word at its first piece, and ``<pad>`` at all other symbols;
- ``SPLIT.ref``: the tags of each split but train, as text;
- ``labels.json``: the request and the counts; it is written last and marks a finished directory.

As in XTREME, each word is cut into pieces alone, and ``<unk>`` stands for a word that has no piece
or too many for --max-length. A sentence is cut where the next word would pass --max-length; its
parts are scored as sentences. A run that was killed is completed by the same command.
"""

import argparse
from dataclasses import fields

from ..tools.corpora import transfer
from ..tools.directory import outcome
from ..tools.preparation.tags import TagPreparation, prepare_tags


def add_arguments(parser: argparse.ArgumentParser) -> None:
    transfer.add_arguments(parser, TagPreparation.EXTENSION)
    parser.add_argument(
        "--max-length",
        type=int,
        default=TagPreparation.max_length,
        metavar="N",
        help="cut to N symbols, <s> and </s></s> included (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> None:
    given = {field.name: getattr(args, field.name) for field in fields(TagPreparation)}
    print(outcome(args.destdir, made=prepare_tags(TagPreparation(**given))))
