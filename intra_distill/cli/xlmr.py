"""convert XLM-R's published files into a checkpoint that fairseq-train starts from

The files are those of fairseq's archives, or those that Hugging Face has: config.json,
sentencepiece.bpe.model and model.safetensors, or pytorch_model.bin. Checkpoints are read as data.
DIR becomes

- ``model.pt``: for ``fairseq-train --finetune-from-model``, without the language model's head;
- ``model.yaml``: the sizes, whose options ``intra-distill args DIR/model.yaml`` prints;
- ``sentencepiece.bpe.model``, ``dict.txt``: the pieces, from which ``intra-distill prepare-tags``
  and ``prepare-spans`` make data;
- ``xlmr.json``: what they were made from.
"""

import argparse

from ..tools.corpora import raw_text
from ..tools.directory import outcome
from ..tools.preparation.xlmr import BASE, PUBLISHED_SIZES, make_xlmr


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size",
        choices=PUBLISHED_SIZES,
        default="base",
        help="of the model that is downloaded (default: %(default)s)",
    )
    raw_text.add_arguments(
        parser,
        "ARCHIVE|FOLDER|URL",
        "an archive of fairseq; a folder with its files or with Hugging Face's; the URL of an "
        "archive; or a URL with '/' at its end, below which Hugging Face's files are (default: "
        f"{BASE}xlmr.SIZE.tar.gz)",
    )


def main(args: argparse.Namespace) -> None:
    source, downloads = raw_text.source_and_downloads(args)
    print(outcome(args.destdir, made=make_xlmr(args.destdir, args.size, source, downloads)))
