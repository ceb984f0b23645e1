r"""remove the least sensitive parameters of checkpoints, and see what translation loses

Of each checkpoint a growing share of the parameters is set to zero, and each pruned model is
translated and scored with (the paper's section 5.1, Figures 6 and 10). The share is of the model
as a whole, embeddings, layer norms and biases included: it is exactly the least sensitive
⌊ratio · n⌋ of all n parameters, wherever they are. Tied parameters are one parameter; what is not
trained (buffers) stays. ``--order random`` and ``--order magnitude`` are controls::

    intra-distill prune DATA --path plain/checkpoint_best.pt intra_x/checkpoint_best.pt \
        --sensitivity plain.sensitivity.pt intra_x.sensitivity.pt --order sensitivity random \
        --results-path pruned --plot pruned.png

The unpruned model is always evaluated: the changes are against it. The folder of
``--results-path`` gets

- ``SYSTEM/ORDER/RATIO``: what evaluate writes, of each pruned model (``SYSTEM/unpruned`` of the
  whole one), and with ``--write-checkpoint`` the model itself, ``checkpoint.pt``, which fairseq
  loads as any other, without an optimizer's state;
- ``prune.json``: all scores, with their signatures.

What is evaluated there already is not translated again. One pruned model at a time is on the disk.
"""

import argparse
from decimal import Decimal, InvalidOperation
from pathlib import Path

from fairseq import tasks
from tqdm import tqdm

from ..errors import UserError
from ..files import write_json
from ..tools.analysis.pruning import (
    ORDERS,
    Pruning,
    as_json,
    draw_pruning,
    evaluate_pruned,
    open_systems,
    pruning_table,
    refuse_own_checkpoints,
)
from ..tools.analysis.systems import add_system_arguments, name_systems
from ..tools.options import make_directory
from ..tools.reports.picture import check_picture
from ..tools.scoring.evaluation import Scoring, check_checkpoint
from ..tools.scoring.inputs import open_test_set
from ..tools.scoring.metrics import add_metric_arguments
from ..tools.scoring.search import (
    Search,
    add_search_arguments,
    generator_arguments,
    generator_config,
    quieten_fairseq,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill prune``."""
    parser.add_argument(
        "data", type=Path, metavar="DATA", help="data directory made by intra-distill prepare"
    )
    add_system_arguments(parser)
    parser.add_argument(
        "--sensitivity",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="what intra-distill sensitivity wrote, a file for each checkpoint",
    )
    parser.add_argument(
        "--order",
        nargs="+",
        choices=ORDERS,
        default=["sensitivity"],
        help="what goes first: the least sensitive, what is nearest to zero, or parameters at "
        "random (default: sensitivity)",
    )
    parser.add_argument(
        "--ratios",
        default="0,0.1,0.2,0.3,0.4,0.5",
        metavar="RATIO,…",
        help="the shares of the parameters that are removed (default: %(default)s)",
    )
    parser.add_argument(
        "--results-path", required=True, type=Path, metavar="DIR", help="where the results go"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the primary metric and its change: a picture of the type that the name ends "
        "with, such as .png",
    )
    add_search_arguments(parser)
    add_metric_arguments(parser)
    parser.add_argument(
        "--seed", type=int, default=1, help="draws the random order (default: %(default)s)"
    )
    parser.add_argument(
        "--write-checkpoint", action="store_true", help="keep the pruned checkpoints"
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    quieten_fairseq()
    ratios = parse_ratios(args.ratios)
    checkpoints = name_systems(args.path, args.names)
    check_request(args)
    search = Search.of(args)
    search.check()
    for path in args.path:
        check_checkpoint(path)
    test_set, references = open_test_set(args.data, search.subset)
    metrics = tuple(dict.fromkeys(args.metrics))
    scoring = Scoring.of(test_set, references, metrics, args.tokenize)
    cfg = generator_config(generator_arguments(search, args.data, args.path[0], test_set.langs))
    task = tasks.setup_task(cfg.task)
    systems = open_systems(checkpoints, args.sensitivity, cfg, task, test_set)
    prunings = [
        Pruning(system, order, ratio, args.seed)
        for system in systems
        for order in dict.fromkeys(args.order)
        for ratio in ratios
    ]
    refuse_own_checkpoints(prunings, args.results_path)
    make_directory(args.results_path)
    by_folder = {pruning.folder: pruning for pruning in prunings}  # all orders share ratio 0
    results = {
        folder: evaluate_pruned(
            pruning, args.data, search, scoring, task, args.results_path, args.write_checkpoint
        )
        for folder, pruning in tqdm(by_folder.items(), desc="prune", unit="model", disable=None)
    }
    write_json(args.results_path / "prune.json", as_json(prunings, results))
    if args.plot:
        draw_pruning(args.plot, prunings, results)
    print(pruning_table(prunings, results))


# What was asked for


def parse_ratios(text: str) -> list[Decimal]:
    """The shares to remove in ascending order, 0 always among them.

    They are decimal: 0.29 of 100 parameters are 29, and not the 28 of binary numbers.
    """
    ratios = {Decimal(0)}
    given = set()
    for number in text.split(","):
        try:
            ratio = (Decimal(number) + 0).normalize()
        except InvalidOperation as error:
            raise UserError(f"--ratios {text}: {number!r} is not a number") from error
        if not (ratio.is_finite() and 0 <= ratio < 1):
            raise UserError(f"--ratios {text}: {number} is not from 0 to below 1")
        if ratio in given:
            raise UserError(f"--ratios {text}: {number} is there twice")
        given.add(ratio)
    return sorted(ratios | given)


def check_request(args: argparse.Namespace) -> None:
    """Refuse options that do not go together and a picture that could not be written."""
    if "sensitivity" not in args.order:
        if args.sensitivity:
            raise UserError(f"--sensitivity is not used by --order {' '.join(args.order)}")
    elif len(args.sensitivity) != len(args.path):
        raise UserError(
            f"--sensitivity has {len(args.sensitivity)} files for {len(args.path)} checkpoints: "
            "make one for each by intra-distill sensitivity"
        )
    if not 0 <= args.seed < 2**63:
        raise UserError(f"--seed must be from 0 to 2^63 − 1, not {args.seed}")
    if args.plot:
        check_picture(args.plot)
