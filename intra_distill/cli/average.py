"""average the parameters of several checkpoints of a run

Name the checkpoints one by one, or take the last ones of a folder of fairseq-train::

    intra-distill average --inputs run --num-epoch-checkpoints 5 --output run/average.pt

Everything but the parameters comes from the checkpoint with the most updates, without the
optimizer's state. The average can translate, or start a training (--finetune-from-model).
"""

import argparse
import os
from pathlib import Path

from ..checkpoints import save_checkpoint
from ..errors import UserError
from ..tools.averaging import EPOCH_CHECKPOINT, UPDATE_CHECKPOINT, average, last_checkpoints
from ..tools.options import check_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill average``, which are those of fairseq's script."""
    parser.add_argument(
        "--inputs",
        required=True,
        nargs="+",
        type=Path,
        metavar="PATH",
        help="checkpoints, or the folder that has them",
    )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="FILE", help="averaged checkpoint to write"
    )
    last = parser.add_mutually_exclusive_group()
    last.add_argument(
        "--num-epoch-checkpoints",
        type=int,
        metavar="N",
        help="average the folder's last N checkpoints of whole epochs (checkpointEPOCH.pt)",
    )
    last.add_argument(
        "--num-update-checkpoints",
        type=int,
        metavar="N",
        help="average the folder's last N checkpoints within epochs (checkpoint_EPOCH_UPDATES.pt)",
    )
    parser.add_argument(
        "--checkpoint-upper-bound",
        type=int,
        metavar="MAX",
        help="ignore checkpoints after this epoch, or after this number of updates",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    paths = choose(args)
    check_output("--output", args.output)
    if any(os.path.realpath(args.output) == os.path.realpath(path) for path in paths):
        raise UserError(f"--output {args.output} is one of the inputs: give it another name")
    save_checkpoint(args.output, average(paths))
    print(f"{args.output}: the average of {', '.join(map(str, paths))}")


def choose(args: argparse.Namespace) -> list[Path]:
    """Find the checkpoints that the options select."""
    by_epoch = args.num_epoch_checkpoints is not None
    number = args.num_epoch_checkpoints if by_epoch else args.num_update_checkpoints
    if number is None:
        if args.checkpoint_upper_bound is not None:
            raise UserError(
                "--checkpoint-upper-bound goes with --num-epoch-checkpoints or "
                "--num-update-checkpoints"
            )
        return args.inputs
    if len(args.inputs) > 1 or not args.inputs[0].is_dir():
        raise UserError("--inputs must be one folder for its last checkpoints to be averaged")
    pattern = EPOCH_CHECKPOINT if by_epoch else UPDATE_CHECKPOINT
    return last_checkpoints(args.inputs[0], number, pattern, args.checkpoint_upper_bound)
