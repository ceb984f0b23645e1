"""translate a prepared subset with a checkpoint and score it with sacreBLEU

DIR is what ``intra-distill prepare`` made. The directory of ``--results-path`` gets

- ``SUBSET.hyp.TARGET``: the detokenised hypotheses, one a line, in corpus order;
- ``SUBSET.json``: BLEU and chrF with their signatures, and all it takes to get them again.

Whatever does not fit is refused before the search starts. So is a sentence longer than the
model takes: fairseq would truncate it or leave it out, and score another test set. A hypothesis
that the model does not end is cut at 200 pieces, or at twice the source where that is more; how
many were is said, and how many have an <unk>.
"""

import argparse
import io
import logging
import platform
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import fairseq
import torch
from fairseq import checkpoint_utils, options, tasks, utils
from fairseq.data import LanguagePairDataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.sequence_generator import SequenceGenerator
from fairseq.tasks import FairseqTask
from fairseq_cli import generate
from omegaconf import DictConfig
from sacrebleu.metrics.base import Metric

from .. import __version__
from ..checkpoints import check_same_data, num_updates, read_checkpoint
from . import UserError
from .files import read_json, read_lines, sha256, write_lines
from .metrics import TOKENIZERS, build_metrics, compare, default_tokenizer, scores_of, signatures_of
from .options import MAX_TOKENS, as_argument, check_number
from .results import (
    PIECES,
    PIECES_FOR_EACH,
    Checkpoint,
    Result,
    TestSet,
    read_hypotheses,
    read_result,
    why_incomparable,
    write_result,
)
from .user_dir import user_dir

MAX_BEAM = 1000  # a larger one would fill the memory, not find more
MAX_LENPEN = 100  # the power of a hypothesis' length, which has to be a number
MAX_LEN = 10_000  # pieces of a hypothesis, for each piece of the source and beside


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate and how: the options of the command.

    ``max_len_a`` and ``max_len_b`` bound a hypothesis as in fairseq: it has at most a · x + b
    pieces, where x is the number of pieces of the longest source in its batch. Without both it has
    at most the larger of 200 and 2 · x. ``tokenizer`` is BLEU's, by default that of the language.
    ``max_tokens`` bounds a batch, in tokens of its longer side, padding included.
    """

    data: Path
    checkpoint: Path
    results_path: Path
    subset: str = "test"
    beam: int = 5
    lenpen: float = 1.0
    max_len_a: float | None = None
    max_len_b: int | None = None
    tokenizer: str | None = None
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
        "--max-len-a",
        type=float,
        metavar="A",
        help="cut a translation at A × source + B pieces, as fairseq-generate does, whose defaults "
        f"are 0 and 200 (default without both: {PIECES}, or {PIECES_FOR_EACH} × source where that "
        "is more)",
    )
    parser.add_argument("--max-len-b", type=int, metavar="B", help="see --max-len-a")
    parser.add_argument(
        "--tokenize",
        choices=TOKENIZERS,
        help="sacreBLEU's tokeniser for BLEU (default: zh for Chinese, ja-mecab for Japanese, "
        "ko-mecab for Korean, 13a for other languages)",
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
            max_len_a=args.max_len_a,
            max_len_b=args.max_len_b,
            tokenizer=args.tokenize,
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
    evaluation = with_tokenizer(evaluation, test_set)
    metrics = build_metrics(references, evaluation.tokenizer, test_set.lowercase)
    signatures = signatures_of(metrics)
    baseline = evaluation.baseline and read_baseline(evaluation.baseline, test_set, signatures)
    result_path = evaluation.results_path / f"{evaluation.subset}.json"
    stored = read_result(result_path) if result_path.exists() else None

    if (
        stored
        and is_translated(stored, evaluation, test_set)
        and stored.checkpoint.sha256 == sha256(evaluation.checkpoint)
    ):
        print(f"{result_path} is of this checkpoint and these settings: not translated again")
        result = replace(stored, system=evaluation.system)
        if result.signatures != signatures:
            result = score_again(result, evaluation, metrics)
    else:
        result = translate_and_score(evaluation, test_set, metrics)
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


def with_tokenizer(evaluation: Evaluation, test_set: TestSet) -> Evaluation:
    """The evaluation with the tokeniser of the language where none is asked for."""
    tokenizer = evaluation.tokenizer or default_tokenizer(test_set.target_lang)
    return replace(evaluation, tokenizer=tokenizer)


def translate_and_score(
    evaluation: Evaluation, test_set: TestSet, metrics: dict[str, Metric]
) -> Result:
    """Translate the test set, write the hypotheses and score them."""
    arguments = generator_arguments(evaluation, test_set)
    cfg = generator_config(arguments)
    checkpoint = inspect_checkpoint(evaluation.checkpoint, cfg, test_set)
    hypotheses_path = evaluation.results_path / f"{test_set.subset}.hyp.{test_set.target_lang}"
    make_directory(evaluation.results_path)

    grows = evaluation.max_len_a is evaluation.max_len_b is None
    translation = translate(cfg, test_set.sentences, grows)
    write_lines(hypotheses_path, translation.hypotheses)
    return Result(
        system=evaluation.system,
        scores=scores_of(metrics, translation.hypotheses),
        signatures=signatures_of(metrics),
        tokenizer=evaluation.tokenizer,
        significance=None,
        test_set=test_set,
        checkpoint=checkpoint,
        beam=evaluation.beam,
        lenpen=evaluation.lenpen,
        max_len_a=evaluation.max_len_a,
        max_len_b=evaluation.max_len_b,
        hypotheses=hypotheses_path.name,
        hypotheses_sha256=sha256(hypotheses_path),
        cut_hypotheses=translation.cut,
        unknown_hypotheses=translation.unknown,
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


def score_again(result: Result, evaluation: Evaluation, metrics: dict[str, Metric]) -> Result:
    """The result in other metrics: its hypotheses are those that were scored before."""
    hypotheses = read_hypotheses(evaluation.results_path, result)
    return replace(
        result,
        scores=scores_of(metrics, hypotheses),
        signatures=signatures_of(metrics),
        tokenizer=evaluation.tokenizer,
        significance=None,
        versions={**result.versions, "sacrebleu": metadata.version("sacrebleu")},
    )


# The options and the data


def check_options(evaluation: Evaluation) -> None:
    """Refuse numbers without meaning, a blank name and a checkpoint that is not there."""
    check_number("--beam", evaluation.beam, 1, MAX_BEAM)
    if not 0 <= evaluation.lenpen <= MAX_LENPEN:
        raise UserError(f"--lenpen must be a number from 0 on, not {evaluation.lenpen}")
    if evaluation.max_len_a is not None:
        check_number("--max-len-a", evaluation.max_len_a, 0, MAX_LEN)
    if evaluation.max_len_b is not None:
        check_number("--max-len-b", evaluation.max_len_b, 1, MAX_LEN)
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
    """The command line of fairseq-generate for an evaluation.

    Where no limit of length is asked for, it has one that a hypothesis meets only after ours.
    """
    a, b = evaluation.max_len_a, evaluation.max_len_b
    if a is b is None:
        a = PIECES_FOR_EACH
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
        *("--max-len-a", str(a or 0)),
        *("--max-len-b", str(PIECES if b is None else b)),
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


class Translation(NamedTuple):
    """What a search found."""

    hypotheses: list[str]  # the best one of each sentence, detokenised, in corpus order
    cut: int  # how many are as long as the search allows
    unknown: int  # how many have an <unk>


def translate(cfg: DictConfig, sentences: int, grows: bool) -> Translation:
    """Run fairseq's generator.

    Args:
        cfg: of fairseq-generate
        sentences: of the test set
        grows: cut hypotheses at 200 pieces, or twice the source, and not where ``cfg`` says
    """
    output = io.StringIO()
    log = logging.getLogger("sacrebleu")
    log.disabled = True  # fairseq has it score text that is still in pieces, which it warns of
    with watch_search(grows) as seen:
        generate._main(cfg, output)
    log.disabled = False
    return Translation(in_corpus_order(output.getvalue(), sentences), seen["cut"], seen["unknown"])


@contextmanager
def watch_search(grows: bool) -> Iterator[Counter[str]]:
    """Count the best hypotheses that were ``cut``, and those with an ``unknown`` piece.

    fairseq's output says neither: how long a hypothesis may be depends on the batch. With ``grows``
    the limit of a batch of short sentences is that of fairseq, whatever is in the other batches.
    """
    seen = Counter(cut=0, unknown=0)
    inference_step = FairseqTask.inference_step

    def watched(self, generator: SequenceGenerator, models, sample, *args, **kwargs):
        source = sample["net_input"]["src_tokens"].size(1)
        if grows:
            long = PIECES_FOR_EACH * source > PIECES
            generator.max_len_a, generator.max_len_b = (PIECES_FOR_EACH, 0) if long else (0, PIECES)
        limit = int(generator.max_len_a * source + generator.max_len_b)
        limit = min(limit, generator.max_len - 1)  # of the model
        batch = inference_step(self, generator, models, sample, *args, **kwargs)
        for best in (hypotheses[0]["tokens"] for hypotheses in batch):
            seen["cut"] += len(best) > limit  # it ends with </s>
            seen["unknown"] += bool(best.eq(generator.unk).any())
        return batch

    FairseqTask.inference_step = watched
    try:
        yield seen
    finally:
        FairseqTask.inference_step = inference_step


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


# What is printed


def print_result(result: Result) -> None:
    """Print the scores and the comparison with the baseline."""
    test_set = result.test_set
    print(f"{result.system}, {test_set.subset} {test_set.pair}, {test_set.sentences} sentences")
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


# The files


def read_baseline(path: Path, test_set: TestSet, signatures: dict[str, str]) -> Result:
    """Read the result to compare with, and make sure that it can be."""
    baseline = read_result(path)
    obstacle = why_incomparable(baseline, test_set, signatures)
    if obstacle:
        raise UserError(f"--baseline {path} cannot be compared with: {obstacle}")
    read_hypotheses(path.parent, baseline)
    return baseline


def is_translated(result: Result, evaluation: Evaluation, test_set: TestSet) -> bool:
    """Whether a result of some model is of this search, with its hypotheses still there."""
    hypotheses_path = evaluation.results_path / result.hypotheses
    return (
        result.test_set == test_set
        and all(
            getattr(result, name) == getattr(evaluation, name)
            for name in ("beam", "lenpen", "max_len_a", "max_len_b")
        )
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
