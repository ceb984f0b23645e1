"""make a fairseq data directory out of raw parallel text of several language pairs

The raw text of each split, one sentence a line, is in one of two forms: of each pair in files of
its own, PREFIX.SOURCE-TARGET.SOURCE and PREFIX.SOURCE-TARGET.TARGET, where either direction may
give the name; or in PREFIX.LANG, where line N is the same sentence in all languages::

    intra-distill prepare-multilingual --lang-pairs en-de,de-en,en-fr,fr-en --train corpus/train \\
        --valid corpus/valid --test corpus/test --vocab-size 16000 --destdir data-bin

It becomes

- ``sentencepiece.model`` and ``sentencepiece.vocab``: one unigram SentencePiece model of all
  languages, by default trained on the filtered training text of all pairs;
- ``dict.LANG.txt``, the same dictionary for all languages, and
  ``{train,valid,test,test1,...}.PAIR.LANG.{bin,idx}``: what ``fairseq-train --task
  translation_multi_simple_epoch`` reads. Both directions of a pair share them;
- ``{valid,test,test1,...}-SOURCE-TARGET.{src.SOURCE,ref.TARGET}``: both sides as text;
- ``prepare.json``: the options, the text and the counts; it is written last and marks a finished
  directory.

Filters, pieces, normalisation and what is printed are those of ``intra-distill prepare``, and so is
what happens after a kill: the same command completes the directory, with bitwise identical files.
``intra-distill evaluate`` takes a test set and a direction as ``test-SOURCE-TARGET``.
"""

import argparse
from dataclasses import fields

from ..tools.directory import outcome
from ..tools.preparation.language_pairs import MultilingualPreparation
from ..tools.preparation.multilingual import prepare_multilingual
from ..tools.preparation.request import add_preparation_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lang-pairs",
        required=True,
        metavar="SOURCE-TARGET,…",
        help="the directions to translate; fairseq-train gets the same list, or a part of it",
    )
    parser.add_argument("--train", required=True, metavar="PREFIX", help="training text")
    parser.add_argument("--valid", required=True, metavar="PREFIX", help="validation text")
    add_preparation_arguments(parser)


def main(args: argparse.Namespace) -> None:
    values = {field.name: getattr(args, field.name) for field in fields(MultilingualPreparation)}
    values |= {name: tuple(values[name].split(",")) for name in ("lang_pairs", "test")}
    print(outcome(args.destdir, made=prepare_multilingual(MultilingualPreparation(**values))))
