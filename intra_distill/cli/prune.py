r"""remove the least sensitive parameters of checkpoints, and score the pruned models

For each ratio, the least sensitive ⌊ratio · n⌋ of a checkpoint's n parameters are set to zero, and
the pruned model is run and scored (the paper's section 5.1, Figures 6 and 10). The n
parameters are those of the whole model, with embeddings, layer norms and biases, and with tied
parameters counted once. Buffers are not pruned. ``--order random`` and ``--order magnitude`` are
controls::

    intra-distill prune DATA --path plain/checkpoint_best.pt intra_x/checkpoint_best.pt \
        --sensitivity plain.sensitivity.pt intra_x.sensitivity.pt --order sensitivity random \
        --results-path pruned --plot pruned.png

The unpruned model is always evaluated, since changes are relative to it. The folder of
``--results-path`` gets

- ``SYSTEM/ORDER/RATIO`` for each pruned model, and ``SYSTEM/unpruned``: the files of evaluate, and
  with ``--write-checkpoint`` the pruned ``checkpoint.pt``, which fairseq loads like any other;
- ``prune.json``: all scores, with their signatures.

A finished evaluation is not repeated. Only one temporary checkpoint is on the disk at a time.

A pruned checkpoint is fine-tuned like any other, by ``--finetune-from-model``. With
``--keep-pruned`` the removed parameters stay zero, and only the others are trained. Without it they
are trained as well: the first updates move almost all of them away from zero::

    fairseq-train DATA --task translation_intra_distillation --num-passes 1 --keep-pruned \
        --finetune-from-model pruned/plain/sensitivity/0.5/checkpoint.pt …
"""

import argparse
from decimal import Decimal, InvalidOperation
from pathlib import Path

from tqdm import tqdm

from ..errors import UserError
from ..files import write_json
from ..tools.analysis.pruning import (
    ORDERS,
    Pruning,
    evaluate_pruned,
    open_systems,
    refuse_own_checkpoints,
)
from ..tools.analysis.pruning_report import draw_pruning, pruning_json, pruning_table
from ..tools.analysis.systems import add_system_arguments, name_systems
from ..tools.labelled import COMMANDS
from ..tools.options import add_data_argument, make_directory
from ..tools.reports.picture import check_picture
from ..tools.scoring.evaluation import check_checkpoint, open_evaluator, open_scoring
from ..tools.scoring.evaluator import Inference, add_inference_arguments
from ..tools.scoring.metrics import add_metric_arguments
from ..tools.scoring.search import Search, add_search_arguments, quieten_fairseq


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill prune``."""
    add_data_argument(parser, "DATA", made_by=f"intra-distill prepare, {COMMANDS}")
    add_system_arguments(parser)
    parser.add_argument(
        "--sensitivity",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="scores from intra-distill sensitivity, a file for each checkpoint",
    )
    parser.add_argument(
        "--order",
        nargs="+",
        choices=ORDERS,
        default=["sensitivity"],
        help="which parameters are removed first: the least sensitive, the smallest in magnitude, "
        "or random ones (default: sensitivity)",
    )
    parser.add_argument(
        "--ratios",
        default="0,0.1,0.2,0.3,0.4,0.5",
        metavar="RATIO,…",
        help="shares of the parameters to remove, from 0 to below 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--results-path", required=True, type=Path, metavar="DIR", help="folder for the results"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the primary metric and its change into a picture, such as pruned.png",
    )
    parser.add_argument(
        "--gen-subset",
        metavar="SUBSET",
        help="subset to score on (default: test of parallel text, valid of labelled text)",
    )
    add_inference_arguments(parser)
    add_search_arguments(parser)
    add_metric_arguments(parser)
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the random order (default: %(default)s)"
    )
    parser.add_argument(
        "--write-checkpoint",
        action="store_true",
        help="keep the pruned checkpoints, which fairseq-train --keep-pruned can fine-tune",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    quieten_fairseq()
    ratios = parse_ratios(args.ratios)
    checkpoints = name_systems(args.path, args.names)
    check_request(args)
    for path in args.path:
        check_checkpoint(path)
    inference = Inference(args.max_tokens, args.cpu)
    evaluator = open_evaluator(args.data, inference, Search.of(args), args.tokenize)
    subset = args.gen_subset or evaluator.DEFAULT_SUBSET
    scoring = open_scoring(evaluator, subset, tuple(args.metrics))
    systems = open_systems(checkpoints, args.sensitivity, evaluator, subset)
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
            pruning, evaluator, scoring, args.results_path, args.write_checkpoint
        )
        for folder, pruning in tqdm(by_folder.items(), desc="prune", unit="model", disable=None)
    }
    write_json(args.results_path / "prune.json", pruning_json(prunings, results))
    if args.plot:
        draw_pruning(args.plot, prunings, results)
    print(pruning_table(prunings, results))


def parse_ratios(text: str) -> list[Decimal]:
    """Parse the shares to remove; 0 is added, and the order is ascending.

    They are decimal: 0.29 of 100 parameters is 29, while binary floating point gives 28.
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
    """Refuse options that do not go together, and a picture that cannot be written."""
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
