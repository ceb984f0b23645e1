"""translate a prepared subset with a checkpoint and score it with sacreBLEU

DIR is a data directory made by ``intra-distill prepare``::

    intra-distill evaluate DIR --path run/checkpoint_best.pt --results-path run

The directory of ``--results-path`` gets

- ``SUBSET.hyp.TARGET``: the detokenised hypotheses, one per line, in corpus order;
- ``SUBSET.json``: the scores with their signatures, and all that is needed to reproduce them.

Input that does not fit is refused before the search starts, also a sentence that is longer than
the model takes. A hypothesis is cut at 200 pieces or, if that is more, at twice the source. The
command prints how many were cut, and how many have an <unk>.
"""

import argparse
from pathlib import Path

from ..tools.options import add_data_argument
from ..tools.scoring.evaluation import Evaluation, evaluate
from ..tools.scoring.metrics import add_metric_arguments
from ..tools.scoring.results import Result
from ..tools.scoring.search import Search, add_search_arguments, quieten_fairseq


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill evaluate``."""
    add_data_argument(parser)
    parser.add_argument(
        "--path", required=True, type=Path, metavar="FILE", help="checkpoint to translate with"
    )
    add_search_arguments(parser)
    add_metric_arguments(parser)
    parser.add_argument(
        "--results-path",
        required=True,
        type=Path,
        metavar="DIR",
        help="directory for SUBSET.hyp.TARGET and SUBSET.json; a finished evaluation in it is not "
        "repeated",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="JSON",
        help="another system's SUBSET.json: test whether the difference from it is significant",
    )
    parser.add_argument(
        "--name", metavar="SYSTEM", help="the system's name (default: the checkpoint's folder)"
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    quieten_fairseq()
    result = evaluate(
        Evaluation(
            data=args.data,
            checkpoint=args.path,
            results_path=args.results_path,
            search=Search.of(args),
            metrics=tuple(args.metrics),
            tokenizer=args.tokenize,
            baseline=args.baseline,
            name=args.name,
        )
    )
    print_result(result)


# What is printed


def print_result(result: Result) -> None:
    """Print the scores and the comparison with the baseline."""
    test_set = result.test_set
    print(f"{result.system}, {test_set.subset} {result.dataset}, {test_set.sentences} sentences")
    for metric, score in result.scores.items():
        print(f"{metric} = {score:.2f}  {result.signatures[metric]}")
    if result.cut_hypotheses:
        print(
            f"{result.cut_hypotheses} of {test_set.sentences} hypotheses are cut at "
            f"{result.limit_of_length}: raise --max-len-a or --max-len-b, unless they repeat "
            "themselves"
        )
    if result.unknown_hypotheses:
        print(f"{result.unknown_hypotheses} of {test_set.sentences} hypotheses have an <unk>")
    if result.significance:
        print(f"paired bootstrap against {result.significance['baseline_system']}:")
        for metric, test in result.significance["tests"].items():
            if test["p_value"] is None:
                print(f"{metric}: no p-value: {test['why_none']}")
                continue
            ours, theirs = (
                f"{test[side]['mean']:.2f} ± {test[side]['ci']:.2f}"
                for side in ("system", "baseline")
            )
            print(f"{metric} {ours}, {theirs}, p = {test['p_value']:.4f}  {test['signature']}")
