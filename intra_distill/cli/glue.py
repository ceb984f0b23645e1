"""make a fairseq data directory of a GLUE task

The task's files become

- ``input0/``, ``input1/``: BERT's word pieces of the first and the second sentences, in the form
  that fairseq reads: ``[CLS]`` is left to --init-token 0, and ``[SEP]`` ends each sentence;
- ``label/``: the classes, in GLUE's order, or the scores of STS-B;
- ``SPLIT.ref``: the labels of each labelled split but train, as text;
- ``labels.json``: the request and the counts; it is written last and marks a finished directory.

The splits are train, valid and test. MNLI has valid, test on its matched and valid1, test1 on its
mismatched sets, and test2 on GLUE's diagnostic set. A test set of GLUE has no labels, but its
labels are taken where a file has them. Nothing is dropped but the lines of QQP's training and
development set that do not have six columns.

A pair that is too long loses pieces of its longer sentence, as in Hugging Face's tokenizers. Text
that reads like [SEP] stays text. A run that was killed is completed by the same command.
"""

import argparse
from dataclasses import fields
from pathlib import Path

from ..tools.corpora import raw_text
from ..tools.corpora.glue.tasks import BASE, TASKS
from ..tools.directory import outcome
from ..tools.preparation.sentences import SentencePreparation, prepare_sentences


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", required=True, choices=TASKS, help="the task of GLUE")
    parser.add_argument(
        "--bert",
        required=True,
        type=Path,
        metavar="DIR",
        help="the folder made by intra-distill bert, for its vocabulary",
    )
    raw_text.add_arguments(
        parser,
        "FOLDER|ARCHIVE|URL",
        "a folder that holds the task's folder (RTE/train.tsv), its files or its archive; the "
        f"archive; or a URL below which the archive is (default: {BASE})",
    )
    parser.add_argument(
        "--max-length",
        type=int,
        default=SentencePreparation.max_length,
        metavar="N",
        help="truncate to N word pieces, [CLS] and [SEP] included (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> None:
    source, downloads = raw_text.source_and_downloads(args)
    given = {field.name: getattr(args, field.name) for field in fields(SentencePreparation)}
    preparation = SentencePreparation(**{**given, "source": source, "downloads": downloads})
    print(outcome(args.destdir, made=prepare_sentences(preparation)))
