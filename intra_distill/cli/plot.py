"""draw validation curves, BLEU against K, sensitivity over training, and the curve of α′

All but the last are drawn from what runs leave behind: what fairseq-train wrote, kept as
``train.log`` in the folder of the run, and the results of evaluate beside it. A run that resumes
appends to the same log. Where it repeats updates, the later ones count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..tools.reports.logs import LOG
from ..tools.reports.picture import check_picture, save_picture
from ..tools.reports.plots import (
    VALIDATION,
    plot_alpha,
    plot_loss,
    plot_passes,
    plot_sensitivity,
)
from ..tools.scoring.metrics import METRICS

if TYPE_CHECKING:  # no other command has to wait for it
    from matplotlib.figure import Figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the pictures, each with its options."""
    pictures = parser.add_subparsers(title="pictures", metavar="PICTURE", required=True)

    loss = add_picture(pictures, "loss", draw_loss, "validation loss over training (Figure 7)")
    add_logs(loss)
    loss.add_argument(
        "--log-key",
        choices=VALIDATION,
        default="loss",
        help="what of the validation is drawn (default: %(default)s)",
    )
    loss.add_argument(
        "--valid-subset", default="valid", metavar="SUBSET", help="default: %(default)s"
    )

    bleu = add_picture(
        pictures, "bleu", draw_passes, "BLEU against the number of passes (Figure 8)"
    )
    bleu.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="result of intra-distill evaluate, or folder to search for results",
    )
    bleu.add_argument(
        "--gen-subset",
        default="test",
        metavar="SUBSET",
        help="search folders for SUBSET.json (default: %(default)s)",
    )
    bleu.add_argument(
        "--metric", choices=METRICS, help="another metric (default: the results' primary one)"
    )

    sensitivity = add_picture(
        pictures,
        "sensitivity",
        lambda args: plot_sensitivity(args.paths),
        "sensitivity over training, of runs with --track-sensitivity (Figure 2)",
    )
    add_logs(sensitivity)

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
        help="the length of the run (default: the configuration's max_update)",
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
        help="the picture, of the type that the name ends with, such as .png",
    )
    parser.set_defaults(draw=draw)
    return parser


def add_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="RUN",
        help=f"log of fairseq-train, or folder to search for {LOG}",
    )


def draw_loss(args: argparse.Namespace) -> Figure:
    return plot_loss(args.paths, args.log_key, args.valid_subset)


def draw_passes(args: argparse.Namespace) -> Figure:
    return plot_passes(args.paths, args.gen_subset, args.metric)


def draw_alpha(args: argparse.Namespace) -> Figure:
    return plot_alpha(args.config, args.overrides, args.updates)


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    check_picture(args.plot)
    save_picture(args.draw(args), args.plot)
