r"""score each parameter's contribution to the loss, and show how evenly parameters contribute

The score is |θ ⊙ ḡ| (the paper's equation 2), where ḡ is the gradient of the mean loss over random
training batches. The batches and the loss are the same for all checkpoints, so that systems are
comparable. Of parallel text it is fairseq's label-smoothed cross-entropy, with the label smoothing
of the checkpoint, in nats per target token. Of labelled text it is the cross-entropy in nats per
sentence, word or boundary of an answer (its first and its last piece), or the squared error of
numbers per sentence::

    intra-distill sensitivity DATA --path plain/checkpoint_best.pt intra_x/checkpoint_best.pt \
        --results-path sensitivity --plot sensitivity.png

The folder of ``--results-path`` gets

- ``SYSTEM.sensitivity.pt``: the score of each parameter, for ``intra-distill prune``;
- ``sensitivity.json``: how evenly the scores are distributed over all parameters, over each kind
  of parameter and over each layer.

Scores that are already there are not computed again. Shared parameters, such as tied embeddings,
count once. Sentences longer than 1024 tokens or ``--max-tokens`` are left out.
"""

import argparse
from pathlib import Path

import torch

from ..checkpoints import read_checkpoint
from ..core.sensitivity import balance, pool
from ..errors import UserError
from ..files import write_json
from ..tools.analysis.batches import Settings, choose_batches
from ..tools.analysis.sensitivity import score
from ..tools.analysis.sensitivity_report import (
    by_part,
    describe,
    kind_of,
    layer_of,
    sensitivity_json,
    sensitivity_tables,
    symbol,
)
from ..tools.analysis.systems import add_system_arguments, name_systems
from ..tools.analysis.training_data import open_training_data
from ..tools.analysis.violins import draw_violins, sample
from ..tools.labelled import COMMANDS
from ..tools.options import MAX_TOKENS, check_number, make_directory
from ..tools.reports.picture import check_picture
from ..tools.scoring.search import quieten_fairseq


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill sensitivity``."""
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help=f"data directory of fairseq-preprocess, {COMMANDS}",
    )
    add_system_arguments(parser)
    parser.add_argument(
        "--results-path", required=True, type=Path, metavar="DIR", help="folder for the results"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the distributions into a picture, such as sensitivity.png",
    )
    parser.add_argument(
        "--gen-subset",
        default="train",
        metavar="SUBSET",
        help="subset to draw batches from (default: %(default)s)",
    )
    parser.add_argument(
        "--batches",
        type=int,
        default=100,
        metavar="N",
        help="number of random batches (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the random batches (default: %(default)s)"
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=4096,
        metavar="N",
        help="tokens in a batch, padding included (default: %(default)s)",
    )
    parser.add_argument(
        "--dropout", action="store_true", help="keep dropout on, as in training (default: off)"
    )
    parser.add_argument(
        "--mean-of-absolute",
        action="store_true",
        help="score by the mean of |θ ⊙ g| over the batches, so that gradients of opposite sign do "
        "not cancel",
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
    data = open_training_data(args.data)
    tasks = {name: data.task_of(path, read_checkpoint(path)) for name, path in checkpoints.items()}
    # systems of one task share their batches
    chosen = {task: choose_batches(data, task, settings) for task in dict.fromkeys(tasks.values())}
    make_directory(args.results_path)

    device = torch.device("cuda" if torch.cuda.is_available() and not args.cpu else "cpu")
    systems, samples = {}, {}
    for name, path in checkpoints.items():
        scores_path = args.results_path / f"{name}.sensitivity.pt"
        task = tasks[name]
        scores = score(scores_path, path, data, task, chosen[task], settings, device)
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
    notes = describe(data, next(iter(chosen.values())), settings, systems)
    write_json(args.results_path / "sensitivity.json", sensitivity_json(args.data, notes, systems))
    if args.plot:
        sds = {name: system["all"].all.sd for name, system in systems.items()}
        draw_violins(args.plot, samples, sds, f"sensitivity {symbol(settings)}, {data.unit}")
    print(sensitivity_tables(systems, notes))


def check_options(args: argparse.Namespace) -> None:
    """Refuse numbers out of range, and a picture that cannot be written."""
    check_number("--batches", args.batches, 1)
    check_number("--max-tokens", args.max_tokens, 1, MAX_TOKENS)
    if not 0 <= args.seed < 2**32:
        raise UserError(f"--seed must be from 0 to 2^32 − 1, not {args.seed}")
    if args.plot:
        check_picture(args.plot)
