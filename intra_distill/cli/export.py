r"""export a checkpoint to CTranslate2, with its pieces and a model card

The folder of ``--output-dir`` then translates by itself, quickly, on CPUs and GPUs, without
fairseq and without this package::

    intra-distill export run/checkpoint_best.pt --output-dir exported --quantization int8 \
        --result run/test.json

It gets

- ``model.bin``, ``config.json`` and the vocabulary: the model of CTranslate2, compared with
  fairseq's;
- ``sentencepiece.model``: the pieces;
- ``README.md``: a model card for Hugging Face's hub, with a program of four lines that translates,
  the settings of the training, and the scores of ``--result`` with their signatures;
- ``export.json``: what it was made from.

Any transformer of one language pair can be exported, also one that is averaged or pruned, of
fairseq-train or of fairseq-hydra-train. It needs ``pip install 'intra_distill[export]'``.
"""

import argparse
from pathlib import Path

from ..tools.deployment.converted import QUANTIZATIONS
from ..tools.deployment.export import Export, export
from ..tools.directory import outcome
from ..tools.scoring.search import quieten_fairseq


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill export``."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="checkpoint to export")
    parser.add_argument(
        "--output-dir", required=True, type=Path, metavar="DIR", help="folder to make"
    )
    parser.add_argument(
        "--quantization",
        choices=QUANTIZATIONS,
        default=Export.quantization,
        metavar="TYPE",
        help=f"type of the parameters: {', '.join(QUANTIZATIONS)} (default: %(default)s)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="data directory made by intra-distill prepare (default: that of the training)",
    )
    parser.add_argument(
        "--result",
        nargs="+",
        type=Path,
        default=[],
        metavar="JSON",
        help="results of this checkpoint for the model card, which intra-distill evaluate wrote",
    )
    parser.add_argument(
        "--license",
        metavar="NAME",
        help="licence for the model card, such as mit; the training data may decide it",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    quieten_fairseq()
    request = Export(
        checkpoint=args.checkpoint,
        output_dir=args.output_dir,
        data=args.data,
        quantization=args.quantization,
        results=tuple(args.result),
        license=args.license,
    )
    print(outcome(args.output_dir, made=export(request)))
