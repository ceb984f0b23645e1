"""translate a prepared subset with a checkpoint and score it with sacreBLEU

DIR is what ``intra-distill prepare`` made. The directory of ``--results-path`` gets

- ``SUBSET.hyp.TARGET``: the detokenised hypotheses, one a line, in corpus order;
- ``SUBSET.json``: BLEU and chrF with their signatures, and all it takes to get them again.

Whatever does not fit is refused before the search starts. So is a sentence longer than the
model takes: fairseq would truncate it or leave it out, and score another test set.
"""

import argparse
import io
import logging
import os
import platform
import warnings
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import fairseq
import torch
from fairseq import checkpoint_utils, options, tasks, utils
from fairseq.data import LanguagePairDataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq_cli import generate
from omegaconf import DictConfig
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest

from .. import __version__
from ..checkpoints import check_same_data, num_updates, read_checkpoint
from . import UserError
from .files import read_json, read_lines, sha256, write_lines
from .options import MAX_TOKENS, as_argument, check_number
from .results import (
    Checkpoint,
    Result,
    TestSet,
    read_hypotheses,
    read_result,
    why_incomparable,
    write_result,
)
from .user_dir import user_dir

BOOTSTRAP_SAMPLES = 1000
BOOTSTRAP_SEED = 12345
MAX_BEAM = 1000  # a larger one would fill the memory, not find more
MAX_LENPEN = 100  # the power of a hypothesis' length, which has to be a number


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate and how: the options of the command.

    ``max_tokens`` bounds a batch, in tokens of its longer side, padding included.
    """

    data: Path
    checkpoint: Path
    results_path: Path
    subset: str = "test"
    beam: int = 5
    lenpen: float = 1.0
    max_tokens: int = 4096
    baseline: Path | None = None
    name: str | None = None
    cpu: bool = False

    @property
    def system(self) -> str:
        """The name of the system: by default the checkpoint's folder."""
        return self.name or self.checkpoint.absolute().parent.name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``intra-distill evaluate``."""
    parser.add_argument(
        "data", type=Path, metavar="DIR", help="data directory made by intra-distill prepare"
    )
    parser.add_argument(
        "--path", required=True, type=Path, metavar="FILE", help="checkpoint to translate with"
    )
    add_search_arguments(parser)
    parser.add_argument(
        "--results-path",
        required=True,
        type=Path,
        metavar="DIR",
        help="where SUBSET.hyp.TARGET and SUBSET.json go; what is evaluated there already is "
        "not translated again",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="JSON",
        help="another system's SUBSET.json: test whether the difference to it is significant",
    )
    parser.add_argument(
        "--name", metavar="SYSTEM", help="the system's name (default: the checkpoint's folder)"
    )
    parser.add_argument("--cpu", action="store_true", help="translate on the CPU")


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of what is translated, and how."""
    parser.add_argument(
        "--gen-subset",
        default=Evaluation.subset,
        metavar="SUBSET",
        help="subset to translate (default: %(default)s)",
    )
    parser.add_argument(
        "--beam",
        type=int,
        default=Evaluation.beam,
        metavar="N",
        help="beam size (default: %(default)s)",
    )
    parser.add_argument(
        "--lenpen",
        type=float,
        default=Evaluation.lenpen,
        metavar="P",
        help="length penalty: below 1 favours shorter, above 1 longer translations "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=Evaluation.max_tokens,
        metavar="N",
        help="source tokens in a batch (default: %(default)s)",
    )


def main(args: argparse.Namespace) -> None:
    """Run the command."""
    quieten_fairseq()
    result = evaluate(
        Evaluation(
            data=args.data,
            checkpoint=args.path,
            results_path=args.results_path,
            subset=args.gen_subset,
            beam=args.beam,
            lenpen=args.lenpen,
            max_tokens=args.max_tokens,
            baseline=args.baseline,
            name=args.name,
            cpu=args.cpu,
        )
    )
    print_result(result)


def evaluate(evaluation: Evaluation) -> Result:
    """Translate, score and, with a baseline, compare; write the result and return it.

    Where ``results_path`` holds a result of the same checkpoint, test set, search and metrics,
    its translations and scores are taken.

    Raises:
        UserError: an option, the data, the checkpoint or the baseline do not fit.
    """
    check_options(evaluation)
    test_set, references = open_test_set(evaluation.data, evaluation.subset)
    metrics = build_metrics(references, test_set.target_lang)
    signatures = {name: metric.get_signature().format() for name, metric in metrics.items()}
    baseline = evaluation.baseline and read_baseline(evaluation.baseline, test_set, signatures)
    result_path = evaluation.results_path / f"{evaluation.subset}.json"
    stored = read_result(result_path) if result_path.exists() else None

    if (
        stored
        and is_done(stored, evaluation, test_set, signatures)
        and stored.checkpoint.sha256 == sha256(evaluation.checkpoint)
    ):
        print(f"{result_path} is of this checkpoint and these settings: not translated again")
        result = replace(stored, system=evaluation.system)
    else:
        result = translate_and_score(evaluation, test_set, metrics, signatures)
    if baseline and not is_compared(result, baseline):
        hypotheses = read_hypotheses(evaluation.results_path, result)
        other_hypotheses = read_hypotheses(evaluation.baseline.parent, baseline)
        result = replace(
            result,
            significance={
                "baseline": str(evaluation.baseline),
                "baseline_system": baseline.system,
                "baseline_hypotheses_sha256": baseline.hypotheses_sha256,
                "tests": compare(hypotheses, other_hypotheses, metrics),
            },
        )
    if result != stored:
        write_result(result_path, result)
    return result


def translate_and_score(
    evaluation: Evaluation,
    test_set: TestSet,
    metrics: dict[str, Metric],
    signatures: dict[str, str],
) -> Result:
    """Translate the test set, write the hypotheses and score them."""
    arguments = generator_arguments(evaluation, test_set)
    cfg = generator_config(arguments)
    checkpoint = inspect_checkpoint(evaluation.checkpoint, cfg, test_set)
    hypotheses_path = evaluation.results_path / f"{test_set.subset}.hyp.{test_set.target_lang}"
    make_directory(evaluation.results_path)

    hypotheses = translate(cfg, test_set.sentences)
    write_lines(hypotheses_path, hypotheses)
    return Result(
        system=evaluation.system,
        scores={
            name: metric.corpus_score(hypotheses, None).score for name, metric in metrics.items()
        },
        signatures=signatures,
        significance=None,
        test_set=test_set,
        checkpoint=checkpoint,
        beam=evaluation.beam,
        lenpen=evaluation.lenpen,
        hypotheses=hypotheses_path.name,
        hypotheses_sha256=sha256(hypotheses_path),
        generator_arguments=arguments,
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "fairseq": fairseq.__version__,
            "sacrebleu": metadata.version("sacrebleu"),
            "sentencepiece": metadata.version("sentencepiece"),
            "intra_distill": __version__,
        },
    )


# The options and the data


def check_options(evaluation: Evaluation) -> None:
    """Refuse numbers without meaning, a blank name and a checkpoint that is not there."""
    check_number("--beam", evaluation.beam, 1, MAX_BEAM)
    if not 0 <= evaluation.lenpen <= MAX_LENPEN:
        raise UserError(f"--lenpen must be a number from 0 on, not {evaluation.lenpen}")
    check_number("--max-tokens", evaluation.max_tokens, 1, MAX_TOKENS)
    if evaluation.name is not None and not evaluation.name.strip():
        raise UserError("--name is blank: leave it out for the name of the checkpoint's folder")
    if not evaluation.checkpoint.is_file():
        raise UserError(f"--path {evaluation.checkpoint}: there is no such checkpoint")


def open_test_set(data: Path, subset: str) -> tuple[TestSet, list[str]]:
    """Describe a subset of a prepared directory, and read its references."""
    try:
        prepared = read_json(data / "prepare.json")["options"]
        source_lang, target_lang = prepared["source_lang"], prepared["target_lang"]
        lowercase, sentencepiece_text = prepared["lowercase"], prepared["sentencepiece_text"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{data} has no prepare.json: make it by intra-distill prepare") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{data / 'prepare.json'} is not what intra-distill prepare wrote: prepare again"
        ) from error
    for lang in (source_lang, target_lang):
        if not (isinstance(lang, str) and Path(lang).name == lang):  # it names files, also written
            raise UserError(f"{data / 'prepare.json'}: {lang!r} is no language")
        if not (data / f"dict.{lang}.txt").is_file():
            raise UserError(f"{data} has no dict.{lang}.txt: make it by intra-distill prepare")

    suffix = f".ref.{target_lang}"
    subsets = sorted(path.name.removesuffix(suffix) for path in data.glob(f"*{suffix}"))
    if subset not in subsets:
        raise UserError(f"{data} has no subset {subset!r} to score, only {', '.join(subsets)}")
    references_path = data / f"{subset}{suffix}"
    references = list(read_lines(references_path))
    source = data / f"{subset}.{source_lang}-{target_lang}.{source_lang}.bin"
    test_set = TestSet(
        data=str(data),
        subset=subset,
        source_lang=source_lang,
        target_lang=target_lang,
        lowercase=lowercase,
        sentencepiece_text=sentencepiece_text,
        sentences=len(references),
        source_sha256=sha256(source),
        references=references_path.name,
        references_sha256=sha256(references_path),
    )
    return test_set, references


# The checkpoint


def inspect_checkpoint(path: Path, cfg: DictConfig, test_set: TestSet) -> Checkpoint:
    """Make sure that a checkpoint can translate a test set, and say what it is."""
    state = read_checkpoint(path)
    task = tasks.setup_task(cfg.task)
    check_same_data(path, state, task)
    (model,), _ = checkpoint_utils.load_model_ensemble([str(path)], task=task)
    task.load_dataset(test_set.subset)
    dataset = task.dataset(test_set.subset)
    if len(dataset) != test_set.sentences:
        raise UserError(
            f"{test_set.data}: {test_set.references} has {test_set.sentences} lines for "
            f"{len(dataset)} sentences: prepare the data again"
        )
    max_positions = utils.resolve_max_positions(task.max_positions(), model.max_positions())
    refuse_long_sentences(dataset, test_set.subset, max_positions, cfg.dataset.max_tokens)
    return Checkpoint(
        path=str(path),
        sha256=sha256(path),
        seed=state["cfg"]["common"]["seed"],
        updates=num_updates(state),
        training_seconds=training_seconds(path, state),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def refuse_long_sentences(
    dataset: LanguagePairDataset, subset: str, max_positions: tuple[int, int], max_tokens: int
) -> None:
    """Refuse what fairseq would stop at: sentences over the model's or the batch's length."""
    for side, sizes, limit in zip(
        ("source", "target"), (dataset.src_sizes, dataset.tgt_sizes), max_positions, strict=True
    ):
        longest = int(sizes.argmax())
        length = f"line {longest + 1} of {subset} has {sizes[longest]} {side} tokens"
        if sizes[longest] > limit:
            raise UserError(f"{length}, the model takes {limit}: shorten it and prepare again")
        if sizes[longest] > max_tokens:
            raise UserError(f"{length}, more than --max-tokens {max_tokens}: raise it")


def training_seconds(path: Path, state: dict[str, Any]) -> float:
    """The time the whole training took: the last checkpoint beside ``path`` knows it."""
    last = path.with_name("checkpoint_last.pt")
    if last.is_file() and not last.samefile(path):
        state = read_checkpoint(last)
    return state["extra_state"]["previous_training_time"]


# The search


def generator_arguments(evaluation: Evaluation, test_set: TestSet) -> list[str]:
    """The command line of fairseq-generate for an evaluation."""
    arguments = [
        as_argument(evaluation.data),
        *("--user-dir", str(user_dir())),
        *("--task", "translation"),
        *("--source-lang", test_set.source_lang),
        *("--target-lang", test_set.target_lang),
        *("--gen-subset", test_set.subset),
        *("--path", as_argument(evaluation.checkpoint)),
        *("--beam", str(evaluation.beam)),
        *("--lenpen", str(evaluation.lenpen)),
        *("--max-tokens", str(evaluation.max_tokens)),
        # with a larger multiple fairseq drops the last batch where it is not one
        *("--required-batch-size-multiple", "1"),
        # a worker process wins nothing here, and its end is waited for
        *("--num-workers", "0"),
        *("--post-process", "sentencepiece"),
        *("--log-interval", "10"),
        # its score is not used, but fairseq's own scorer fails where all hypotheses are empty
        *("--scoring", "sacrebleu"),
    ]
    return [*arguments, "--cpu"] if evaluation.cpu else arguments


def generator_config(arguments: list[str]) -> DictConfig:
    """fairseq's configuration for the command line of fairseq-generate."""
    parser = options.get_generation_parser()
    return convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, arguments))


def translate(cfg: DictConfig, sentences: int) -> list[str]:
    """Run fairseq's generator; one detokenised hypothesis a sentence, in corpus order."""
    output = io.StringIO()
    log = logging.getLogger("sacrebleu")
    log.disabled = True  # fairseq has it score text that is still in pieces, which it warns of
    generate._main(cfg, output)
    log.disabled = False
    return in_corpus_order(output.getvalue(), sentences)


def in_corpus_order(output: str, sentences: int) -> list[str]:
    """The hypotheses in the generator's output, which is in the order of its batches.

    They are its lines ``D-NUMBER<tab>SCORE<tab>HYPOTHESIS``, numbered from 0.
    """
    lines = [line[2:].split("\t", 2) for line in output.split("\n") if line.startswith("D-")]
    hypotheses = sorted((int(number), text) for number, _, text in lines)
    if [number for number, _ in hypotheses] != list(range(sentences)):
        raise RuntimeError(
            f"fairseq wrote {len(hypotheses)} hypotheses that are not one for each of the "
            f"{sentences} sentences"
        )
    return [text for _, text in hypotheses]


def quieten_fairseq() -> None:
    """Show of fairseq's log the warnings and the progress alone."""
    # Importing fairseq has set the log up for debugging. Without a set-up the generator would
    # have the log written among its output.
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("fairseq.logging.progress_bar").setLevel(logging.INFO)
    warnings.simplefilter("ignore")  # hydra and torch complain of how fairseq uses them


# The scores


def build_metrics(references: list[str], target_lang: str) -> dict[str, Metric]:
    """BLEU (tokenised as sacreBLEU has it for the language) and chrF, holding the references."""
    try:
        return {
            "BLEU": BLEU(trg_lang=target_lang, references=[references]),
            "chrF": CHRF(references=[references]),
        }
    except RuntimeError as error:  # the language's tokeniser is not installed
        raise UserError(" ".join(str(error).split())) from error


def compare(
    hypotheses: list[str], baseline_hypotheses: list[str], metrics: dict[str, Metric]
) -> dict[str, Any]:
    """Test the difference to a baseline by paired bootstrap resampling (Koehn, 2004).

    Returns for each metric the p-value, and of both systems the mean of the resamples and half
    the width of their 95 % confidence interval.
    """
    os.environ["SACREBLEU_SEED"] = str(BOOTSTRAP_SEED)  # PairedTest has no argument for it
    signatures, results = PairedTest(
        [("baseline", baseline_hypotheses), ("system", hypotheses)],
        metrics,
        references=None,
        test_type="bs",
        n_samples=BOOTSTRAP_SAMPLES,
    )()
    # sacreBLEU calls chrF chrF2, after its beta, in what it returns
    names = dict(zip(metrics, signatures, strict=True))
    tests = {}
    for name, long_name in names.items():
        theirs, ours = results[long_name]
        tests[name] = {
            "p_value": float(ours.p_value),
            "system": {"mean": float(ours.mean), "ci": float(ours.ci)},
            "baseline": {"mean": float(theirs.mean), "ci": float(theirs.ci)},
            "signature": signatures[long_name].format(),
        }
    return tests


def print_result(result: Result) -> None:
    """Print the scores and the comparison with the baseline."""
    test_set = result.test_set
    print(f"{result.system}, {test_set.subset} {test_set.pair}, {test_set.sentences} sentences")
    for metric, score in result.scores.items():
        print(f"{metric} = {score:.2f}  {result.signatures[metric]}")
    if result.significance:
        print(f"paired bootstrap against {result.significance['baseline_system']}:")
        for metric, test in result.significance["tests"].items():
            ours, theirs = (
                f"{test[side]['mean']:.2f} ± {test[side]['ci']:.2f}"
                for side in ("system", "baseline")
            )
            print(f"{metric} {ours}, {theirs}, p = {test['p_value']:.4f}  {test['signature']}")


# The files


def read_baseline(path: Path, test_set: TestSet, signatures: dict[str, str]) -> Result:
    """Read the result to compare with, and make sure that it can be."""
    baseline = read_result(path)
    obstacle = why_incomparable(baseline, test_set, signatures)
    if obstacle:
        raise UserError(f"--baseline {path} cannot be compared with: {obstacle}")
    read_hypotheses(path.parent, baseline)
    return baseline


def is_done(
    result: Result, evaluation: Evaluation, test_set: TestSet, signatures: dict[str, str]
) -> bool:
    """Whether a result of some model is as asked for, with its hypotheses still there."""
    hypotheses_path = evaluation.results_path / result.hypotheses
    return (
        result.test_set == test_set
        and result.signatures == signatures
        and (result.beam, result.lenpen) == (evaluation.beam, evaluation.lenpen)
        and hypotheses_path.is_file()
        and result.hypotheses_sha256 == sha256(hypotheses_path)
    )


def is_compared(result: Result, baseline: Result) -> bool:
    """Whether a result holds the comparison with just these hypotheses of the baseline."""
    compared = result.significance or {}
    return compared.get("baseline_hypotheses_sha256") == baseline.hypotheses_sha256


def make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--results-path {path}: {error.strerror}") from error
