"""run a checkpoint on subsets of a data directory and score its output

DIR is a data directory of parallel text, made by ``intra-distill prepare``, or of labelled text:
of sentences, made by ``intra-distill glue``, of tagged words, made by ``prepare-tags``, or of
questions, made by ``prepare-spans``. Of parallel text that ``fairseq-preprocess`` made, say by
options what only ``prepare`` records::

    intra-distill evaluate DIR --path run/checkpoint_best.pt --results-path run

The directory of ``--results-path`` gets for each subset

- ``SUBSET.hyp.TARGET``: the detokenised translations, one per line, in corpus order; or
  ``SUBSET.pred``: the predictions, likewise: a class or a number, the tags of the words, separated
  by spaces, or an answer;
- ``SUBSET.nbest.TARGET`` with ``--nbest``: the number of a sentence, from 0, fairseq's score and
  the translation, separated by tabs, a line for each, the best first;
- ``SUBSET.src.SOURCE`` and ``SUBSET.ref.TARGET``, or ``SUBSET.ref``: the text that was translated
  and the references, for comparisons and for metrics of other programs;
- ``SUBSET.json``: the scores with their signatures, and all that is needed to reproduce them. Of a
  subset without labels there is none.

Of words and questions the default is every test set ``test-LANG``, each with a result of its own.
The checkpoint is loaded once for all of them. A result is written as soon as it is there, so an
evaluation that is stopped goes on from there.

Input that does not fit is refused before a model is run, also a sentence that is longer than the
model takes. A translation is cut at 200 pieces or, if that is more, at twice the source. The
command prints how many were cut, and how many have an <unk>.
"""

import argparse
import shlex
from pathlib import Path

from ..tools.labelled import COMMANDS
from ..tools.options import add_data_argument, names
from ..tools.scoring.evaluation import Evaluation, evaluate
from ..tools.scoring.evaluator import Inference, add_inference_arguments
from ..tools.scoring.metrics import add_metric_arguments
from ..tools.scoring.preprocessed import GivenText, add_given_text_arguments
from ..tools.scoring.results import Result, SearchRecord
from ..tools.scoring.search import Search, add_nbest_argument, add_search_arguments, quieten_fairseq
from ..tools.scoring.segment_scores import add_score_arguments, given_scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill evaluate``."""
    add_data_argument(parser, made_by=f"intra-distill prepare, {COMMANDS}")
    parser.add_argument(
        "--path",
        required=True,
        nargs="+",
        type=Path,
        metavar="FILE",
        help="checkpoint to run; several translate together, as an ensemble",
    )
    parser.add_argument(
        "--gen-subset",
        type=names,
        default=[],
        metavar="SUBSET,…",
        help="subsets to run it on (default: test of parallel text, valid of labelled sentences, "
        "all test-LANG of words and questions)",
    )
    add_inference_arguments(parser)
    add_search_arguments(parser)
    add_nbest_argument(
        parser,
        help="write the N best translations of each sentence to SUBSET.nbest.TARGET as well "
        "(at most --beam)",
    )
    add_metric_arguments(parser)
    add_score_arguments(parser)
    parser.add_argument(
        "--results-path",
        required=True,
        type=Path,
        metavar="DIR",
        help="directory for SUBSET.hyp.TARGET or SUBSET.pred, and SUBSET.json; a finished "
        "evaluation in it is not repeated",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="JSON",
        help="another system's SUBSET.json, or its folder: test whether the difference from it is "
        "significant",
    )
    parser.add_argument(
        "--name", metavar="SYSTEM", help="the system's name (default: the checkpoint's folder)"
    )
    add_given_text_arguments(parser)


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    quieten_fairseq()
    evaluation = Evaluation(
        data=args.data,
        checkpoint=args.path[0],
        ensemble=tuple(args.path[1:]),
        results_path=args.results_path,
        subsets=tuple(args.gen_subset),
        search=Search.of(args),
        inference=Inference(args.max_tokens, args.cpu),
        metrics=tuple(args.metrics),
        tokenizer=args.tokenize,
        scores=given_scores(args),
        given_text=GivenText.of(args),
        baseline=args.baseline,
        name=args.name,
    )
    results = evaluate(evaluation, print_result)
    for result in [result for result in results if result.test_set.text][:1]:
        print_other_metrics(result, args.results_path)


# What is printed


def print_result(result: Result) -> None:
    """Print the scores and the comparison with the baseline."""
    test_set = result.test_set
    size = f"{test_set.sentences} {result.counted}"
    print(f"{result.system}, {test_set.subset} {result.dataset}, {size}")
    for metric, score in result.scores.items():
        decimals = result.measure(metric).decimals + 1
        print(f"{metric} = {score:.{decimals}f}  {result.signatures[metric]}")
    if result.search:
        print_search(result.search, test_set.sentences)
    if result.significance:
        print(f"paired bootstrap against {result.significance['baseline_system']}:")
        for metric, test in result.significance["tests"].items():
            if test["p_value"] is None:
                print(f"{metric}: no p-value: {test['why_none']}")
                continue
            digits = result.measure(metric).decimals + 1
            ours, theirs = (
                f"{test[side]['mean']:.{digits}f} ± {test[side]['ci']:.{digits}f}"
                for side in ("system", "baseline")
            )
            print(f"{metric} {ours}, {theirs}, p = {test['p_value']:.4f}  {test['signature']}")


def print_search(search: SearchRecord, sentences: int) -> None:
    """Print what is wrong with hypotheses."""
    if search.cut_hypotheses:
        print(
            f"{search.cut_hypotheses} of {sentences} hypotheses are cut at "
            f"{search.limit_of_length}: raise --max-len-a or --max-len-b, unless they repeat "
            "themselves"
        )
    if search.unknown_hypotheses:
        print(f"{search.unknown_hypotheses} of {sentences} hypotheses have an <unk>")


def print_other_metrics(result: Result, directory: Path) -> None:
    """Print how other programs score the translations, and what to know of their scores."""
    test_set, text = result.test_set, result.test_set.text
    if text.source and not result.segment_scores:
        files = (text.source, result.output, test_set.references)
        source, output, references, scores = (
            shlex.quote(str(directory / name)) for name in (*files, f"{test_set.subset}.comet")
        )
        print("for a metric that is not computed here, run its program, then give its scores:")
        print(f"  comet-score -s {source} -t {output} -r {references} --to_json {scores}")
        print(
            f"  pymarian-eval -m wmt22-comet-da -s {source} -t {output} -r {references} -o {scores}"
        )
        print(f"  --score COMET={scores} --score-signature COMET='MODEL|version:PROGRAM'")
    if text.lowercase and result.segment_scores:
        print(
            f"the text is lower-cased: {', '.join(result.segment_scores)} may have been trained on "
            "text with capitals, so compare only systems on the same text"
        )
