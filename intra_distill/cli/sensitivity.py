"""score each parameter's contribution to the loss, and see how evenly they contribute

The score is |θ ⊙ ḡ| (the paper's equation 2), where ḡ is the gradient of the cross-entropy per
token over random training batches, the same for all checkpoints. Whatever a system was trained
with, the criterion is fairseq's plain label-smoothed cross-entropy, with the label smoothing of
the checkpoint, so that systems compare. The folder of ``--results-path`` gets

- ``SYSTEM.sensitivity.pt``: the score of each parameter, which other commands read;
- ``sensitivity.json``: how evenly these are distributed in the systems of this call, over all
  parameters, by kind of parameter, and by layer.

Scores that are there already are not computed again. Parameters that a model shares, such as tied
embeddings, count once. A sentence longer than 1024 tokens or ``--max-tokens`` is left out.
"""

import argparse
from pathlib import Path

import torch

from ..checkpoints import check_fits, read_checkpoint
from ..core.sensitivity import balance, pool
from ..errors import UserError
from ..files import write_json
from ..tools.analysis.batches import Settings, choose_batches, open_data
from ..tools.analysis.sensitivity import (
    as_json,
    by_part,
    describe,
    kind_of,
    layer_of,
    score,
    sensitivity_tables,
    symbol,
)
from ..tools.analysis.systems import add_system_arguments, name_systems
from ..tools.analysis.violins import draw_violins, sample
from ..tools.options import MAX_TOKENS, check_number, make_directory
from ..tools.reports.picture import check_picture
from ..tools.scoring.search import quieten_fairseq


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill sensitivity``."""
    parser.add_argument("data", type=Path, metavar="DATA", help="fairseq's data directory")
    add_system_arguments(parser)
    parser.add_argument(
        "--results-path", required=True, type=Path, metavar="DIR", help="where the results go"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the distributions: a picture of the type that the name ends with, such as .png",
    )
    parser.add_argument(
        "--gen-subset",
        default="train",
        metavar="SUBSET",
        help="where the batches are from (default: %(default)s)",
    )
    parser.add_argument(
        "--batches",
        type=int,
        default=100,
        metavar="N",
        help="how many are drawn at random (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="draws the batches (default: %(default)s)"
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=4096,
        metavar="N",
        help="tokens in a batch, padding included (default: %(default)s)",
    )
    parser.add_argument(
        "--dropout", action="store_true", help="with dropout, as in training (default: without)"
    )
    parser.add_argument(
        "--mean-of-absolute",
        action="store_true",
        help="the mean of |θ ⊙ g| over the batches, where gradients of opposite sign do not cancel",
    )
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU")


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    quieten_fairseq()
    settings = Settings(
        subset=args.gen_subset,
        batches=args.batches,
        seed=args.seed,
        max_tokens=args.max_tokens,
        dropout=args.dropout,
        mean_of_absolute=args.mean_of_absolute,
    )
    check_options(args)
    checkpoints = name_systems(args.path, args.names)
    task = open_data(args.data)
    for path in checkpoints.values():
        check_fits(task, path, read_checkpoint(path))
    chosen = choose_batches(task, settings)
    make_directory(args.results_path)

    device = torch.device("cuda" if torch.cuda.is_available() and not args.cpu else "cpu")
    systems, samples = {}, {}
    for name, path in checkpoints.items():
        scores_path = args.results_path / f"{name}.sensitivity.pt"
        scores = score(scores_path, path, task, chosen, settings, device)
        ascending = pool(list(scores.tensors.values()))
        samples[name] = sample(ascending)
        systems[name] = {
            "checkpoint": str(path),
            "checkpoint_sha256": scores.checkpoint_sha256,
            "scores": scores_path.name,
            "options": scores.options,
            "loss": scores.loss,
            "all": balance(ascending, scores.loss),
            "kinds": by_part(scores, kind_of),
            "layers": by_part(scores, layer_of),
        }
    notes = describe(task, chosen, settings, systems)
    write_json(args.results_path / "sensitivity.json", as_json(args.data, notes, systems))
    if args.plot:
        sds = {name: system["all"].all.sd for name, system in systems.items()}
        draw_violins(args.plot, samples, sds, f"sensitivity {symbol(settings)}, nats per token")
    print(sensitivity_tables(systems, notes))


# What was asked for


def check_options(args: argparse.Namespace) -> None:
    """Refuse numbers without meaning and a picture that could not be written."""
    check_number("--batches", args.batches, 1)
    check_number("--max-tokens", args.max_tokens, 1, MAX_TOKENS)
    if not 0 <= args.seed < 2**32:
        raise UserError(f"--seed must be from 0 to 2^32 − 1, not {args.seed}")
    if args.plot:
        check_picture(args.plot)
