r"""predict the test sets of GLUE, and write the zip that its server scores

Each task is given by the data directory that ``intra-distill glue`` has made, and a checkpoint::

    intra-distill glue-submission --data rte=data/rte mrpc=data/mrpc --fill \
        --path rte=runs/rte/checkpoint_best.pt mrpc=runs/mrpc/checkpoint_best.pt \
        --output submission.zip

The server takes only a zip with all eleven files, so all eight tasks are needed, unless ``--fill``
predicts the first class for the others. The model of MNLI predicts the diagnostic set AX. WNLI has
no model: its file has the first class everywhere.
"""

import argparse
from pathlib import Path

from ..errors import UserError
from ..tools.corpora.glue.tasks import TASKS
from ..tools.options import check_output
from ..tools.scoring.evaluator import Inference, add_inference_arguments
from ..tools.scoring.search import quieten_fairseq
from ..tools.scoring.submission import (
    FILES,
    open_predictors,
    predictions_of,
    write_submission,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill glue-submission``."""
    for option, what in {"--data": "DIR", "--path": "CHECKPOINT"}.items():
        parser.add_argument(
            option,
            required=True,
            nargs="+",
            type=of_task,
            metavar=f"TASK={what}",
            help=f"tasks, each with its {'data directory' if what == 'DIR' else 'checkpoint'}",
        )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="ZIP", help="the zip to write"
    )
    parser.add_argument(
        "--fill",
        action="store_true",
        help="predict the first class, or 0, for the tasks that are not given",
    )
    add_inference_arguments(parser)


def of_task(text: str) -> tuple[str, Path]:
    """Parse TASK=PATH."""
    task, separator, path = text.partition("=")
    if not (separator and path) or task not in TASKS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not TASK=PATH, with a task of {', '.join(TASKS)}"
        )
    return task, Path(path)


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    quieten_fairseq()
    inference = Inference(args.max_tokens, args.cpu)
    inference.check()
    check_output("--output", args.output)
    data, checkpoints = (
        by_task(option, pairs) for option, pairs in (("--data", args.data), ("--path", args.path))
    )
    missing = [task for task in TASKS if task not in data]
    if missing and not args.fill:
        raise UserError(
            f"the server takes only a whole zip: give {', '.join(missing)} by --data and --path as "
            "well, or --fill them"
        )
    predictors = open_predictors(data, checkpoints, inference)
    write_submission(args.output, ((file, predictions_of(file, predictors)) for file in FILES))
    for file in FILES:
        if file.task not in predictors:
            print(f"{file.name}: its first class everywhere")
    print(f"{args.output} is finished")


def by_task(option: str, pairs: list[tuple[str, Path]]) -> dict[str, Path]:
    """Sort what is given by task, and refuse a task that is there twice."""
    tasks = dict(pairs)
    for task in tasks:
        if [name for name, _ in pairs].count(task) > 1:
            raise UserError(f"{option} has {task} twice")
    return tasks
