"""draw validation curves, BLEU against K, the outputs of K passes, sensitivity or α′

``passes`` sends a sentence through checkpoints; ``bleu`` reads results of evaluate; ``alpha`` reads
a configuration. ``loss`` and ``sensitivity`` read logs: the output of fairseq-train, the log of
fairseq-hydra-train or the file of ``--log-file``. In folders they find ``train.log``, or the
``hydra_train.log`` that hydra writes; a log of another name is given as a file::

    intra-distill plot passes DATA --path run/checkpoint_best.pt --plot passes.png
    intra-distill plot loss runs --plot loss.png
    intra-distill plot loss runs --reference configs/iwslt14/references/de-en.yaml --plot loss.png

A run that resumes appends to its log. If it repeats updates, the later values count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..tools.analysis.disagreement import disagree, plot_disagreement, read_pair
from ..tools.analysis.systems import add_system_arguments, name_systems
from ..tools.analysis.training_data import ParallelText
from ..tools.labelled import is_labelled
from ..tools.options import check_number
from ..tools.reports.logs import LOGS
from ..tools.reports.picture import check_picture, save_picture
from ..tools.reports.plots import (
    VALIDATION,
    plot_alpha,
    plot_loss,
    plot_passes,
    plot_sensitivity,
)
from ..tools.reports.reference import read_reference
from ..tools.scoring.search import quieten_fairseq

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PASSES = 8  # panels in a row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the pictures, each with its options."""
    pictures = parser.add_subparsers(title="pictures", metavar="PICTURE", required=True)

    loss = add_picture(pictures, "loss", draw_loss, "validation loss over training (Figure 7)")
    add_logs(loss)
    loss.add_argument(
        "--log-key",
        choices=VALIDATION,
        default="loss",
        help="validation statistic to draw (default: %(default)s)",
    )
    loss.add_argument(
        "--valid-subset",
        default="valid",
        metavar="SUBSET",
        help="validation subset to draw (default: %(default)s)",
    )
    loss.add_argument(
        "--reference",
        type=Path,
        metavar="YAML",
        help="published curves to draw as dotted lines (configs/iwslt14/references/de-en.yaml)",
    )

    bleu = add_picture(
        pictures, "bleu", draw_passes, "BLEU against the number of passes (Figure 8)"
    )
    bleu.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="results of intra-distill evaluate, or folders to search for them",
    )
    bleu.add_argument(
        "--gen-subset",
        default="test",
        metavar="SUBSET",
        help="search folders for SUBSET.json (default: %(default)s)",
    )
    bleu.add_argument(
        "--metric",
        metavar="METRIC",
        help="metric to draw (default: the results' primary one)",
    )

    sensitivity = add_picture(
        pictures,
        "sensitivity",
        lambda args: plot_sensitivity(args.paths),
        "sensitivity over training, of runs with --track-sensitivity (Figure 2)",
    )
    add_logs(sensitivity)

    passes = add_picture(
        pictures, "passes", draw_disagreement, "the output distributions of K passes (Figure 1)"
    )
    passes.add_argument("data", type=Path, metavar="DATA", help="fairseq's data directory")
    add_system_arguments(passes)
    passes.add_argument(
        "--num-passes", type=int, default=3, metavar="K", help="default: %(default)s"
    )
    passes.add_argument(
        "--gen-subset", default="test", metavar="SUBSET", help="default: %(default)s"
    )
    passes.add_argument(
        "--line",
        type=int,
        default=1,
        metavar="N",
        help="the sentence; the position is where the first system's passes differ most "
        "(default: %(default)s)",
    )
    passes.add_argument(
        "--seed", type=int, default=1, help="draws the dropout (default: %(default)s)"
    )

    alpha = add_picture(pictures, "alpha", draw_alpha, "α′ of a configuration (Figure 4)")
    alpha.add_argument("config", type=Path, metavar="CONFIG", help="configuration file (YAML)")
    alpha.add_argument(
        "overrides",
        nargs="*",
        metavar="GROUP.KEY=VALUE",
        help="values to put in place of the file's, such as criterion.alpha=3",
    )
    alpha.add_argument(
        "--updates",
        type=int,
        metavar="N",
        help="length of the run in updates (default: the configuration's max_update)",
    )


def add_picture(
    pictures: Any, name: str, draw: Callable[[argparse.Namespace], Figure], what: str
) -> argparse.ArgumentParser:
    parser = pictures.add_parser(name, help=what, description=f"Draw {what}.")
    parser.add_argument(
        "--plot",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"picture to write, such as {name}.png",
    )
    parser.set_defaults(draw=draw)
    return parser


def add_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="RUN",
        help=f"logs of trainings, or folders to search for {' or '.join(LOGS)}",
    )


def draw_loss(args: argparse.Namespace) -> Figure:
    reference = args.reference and read_reference(args.reference)
    return plot_loss(args.paths, args.log_key, args.valid_subset, reference)


def draw_passes(args: argparse.Namespace) -> Figure:
    return plot_passes(args.paths, args.gen_subset, args.metric)


def draw_disagreement(args: argparse.Namespace) -> Figure:
    quieten_fairseq()
    check_number("--num-passes", args.num_passes, 2, MAX_PASSES)
    check_number("--seed", args.seed, 0, 2**32 - 1)
    checkpoints = name_systems(args.path, args.names)
    if is_labelled(args.data):
        raise UserError(f"{args.data} has labelled text: passes are drawn of a translation")
    data = ParallelText(args.data)
    task, sentence = data.task, read_pair(data, args.gen_subset, args.line)
    systems = {
        name: disagree(task, path, sentence, args.num_passes, args.seed)
        for name, path in checkpoints.items()
    }
    return plot_disagreement(task, sentence, systems)


def draw_alpha(args: argparse.Namespace) -> Figure:
    return plot_alpha(args.config, args.overrides, args.updates)


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    check_picture(args.plot)
    save_picture(args.draw(args), args.plot)
