"""make a fairseq data directory of questions whose answers are in passages

RAW holds train.json, valid.json and any test-LANG.json in the JSON of SQuAD v1.1, as
``intra-distill tydiqa`` and ``intra-distill xquad`` make them. They become

- ``input0/``: ``<s> question </s></s> window </s>`` in XLM-R's pieces, in the form that fairseq
  reads. A passage that is too long is read in several windows, each of which is an item;
- ``label/SPLIT.label``: the first and the last symbol of the answer in each window, or 0 0, which
  is <s>, where a window does not have the whole answer;
- ``SPLIT.ref``: the gold answers of each question; of all splits but train;
- ``SPLIT.questions``: the passages and their windows, from which answers are made;
- ``labels.json``: the request and the counts; it is written last and marks a finished directory.

Windows are those of XTREME and of Hugging Face's SQuAD. A question that is too long is truncated.
An answer that is not at its place in the passage is realigned to the nearest place that has it; a
training question without any is dropped. Questions that have no answer, as in SQuAD v2, are
refused. A run that was killed is completed by the same command.
"""

import argparse
from dataclasses import fields

from ..tools.corpora import transfer
from ..tools.directory import outcome
from ..tools.preparation.spans import SpanPreparation, prepare_spans


def add_arguments(parser: argparse.ArgumentParser) -> None:
    transfer.add_arguments(parser, SpanPreparation.EXTENSION)
    parser.add_argument(
        "--max-length",
        type=int,
        default=SpanPreparation.max_length,
        metavar="N",
        help="the most pieces of a question with a window, <s> and </s> included "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--doc-stride",
        type=int,
        default=SpanPreparation.doc_stride,
        metavar="N",
        help="the next window begins N pieces later (default: %(default)s)",
    )
    parser.add_argument(
        "--max-query-length",
        type=int,
        default=SpanPreparation.max_query_length,
        metavar="N",
        help="truncate questions to N pieces (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> None:
    given = {field.name: getattr(args, field.name) for field in fields(SpanPreparation)}
    print(outcome(args.destdir, made=prepare_spans(SpanPreparation(**given))))
