"""convert BERT's published files into a checkpoint that fairseq-train starts from

The files are those that Hugging Face has of a BERT model: config.json, vocab.txt and
model.safetensors, or pytorch_model.bin, which is read as data. DIR becomes

- ``model.pt``: for ``fairseq-train --finetune-from-model``;
- ``model.yaml``: the sizes, whose options ``intra-distill args DIR/model.yaml`` prints;
- ``vocab.txt``, ``dict.txt``: the word pieces, from which ``intra-distill glue`` makes data;
- ``bert.json``: what they were made from.
"""

import argparse

from ..tools.corpora import raw_text
from ..tools.directory import outcome
from ..tools.preparation.bert import BASE, make_bert


def add_arguments(parser: argparse.ArgumentParser) -> None:
    raw_text.add_arguments(
        parser,
        "FOLDER|URL",
        "a folder with the files of a model, or a URL with '/' at its end, below which they are "
        f"(default: {BASE}, BERT base uncased)",
    )


def main(args: argparse.Namespace) -> None:
    source, downloads = raw_text.source_and_downloads(args)
    print(outcome(args.destdir, made=make_bert(args.destdir, source, downloads)))
