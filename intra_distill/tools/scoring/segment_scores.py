"""Scores of single translations that another program has made, such as COMET's.

Nothing here computes such a metric: COMET's packages cannot share an environment with fairseq. A
program reads source, translations and references as text, and what it writes is read here. The
score of a test set is the mean of its sentences'.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sacrebleu.metrics.base import Score, Signature

from ...errors import UserError
from ...files import read_lines, sha256, write_lines
from .label_metrics import LabelMetric
from .metrics import METRICS, Scorer
from .results import Result, SegmentScores, read_output

NAME = re.compile(r"[A-Za-z0-9][\w+.-]{0,39}", re.ASCII)
# a line that comet-score prints; the line of the whole file has no Segment
PRINTED = re.compile(
    r"(?P<file>.*)\tSegment (?P<number>\d+)\tscore: (?P<score>\S+)(\tvariance: .*)?"
)
LARGEST = 1e9  # of a score: sums of scores must stay finite
JSON_SCORE, JSON_TRANSLATION = "COMET", "mt"  # the fields of comet-score's JSON


@dataclass(frozen=True)
class GivenScores:
    """A file of scores, a number for each translation, and what they are scores of."""

    name: str
    path: Path
    signature: str  # all that the numbers depend on, in the user's words
    higher_is_better: bool

    def check(self) -> None:
        """Raise UserError for a name that cannot be, or a file that is not there."""
        if not NAME.fullmatch(self.name):
            raise UserError(
                f"--score {self.name}={self.path}: a name has up to 40 letters, digits, '.', '+', "
                "'-' and '_', such as COMET-22"
            )
        if self.name.casefold() in map(str.casefold, METRICS):
            raise UserError(f"--score {self.name}: {self.name} is computed here: see --metrics")
        if "`" in self.signature:
            raise UserError(f"--score-signature {self.name}: the table quotes it in `: write no `")
        if not self.path.is_file():
            raise UserError(f"--score {self.name}={self.path}: there is no such file")

    def read(self, result: Result, directory: Path) -> "ReadScores":
        """Read the scores of a result's translations.

        Args:
            directory: of the result and its translations
        Raises:
            UserError: the file has another form or number of scores, a score is NaN, infinite or
                beyond :data:`LARGEST`, the file names other translations, or the result has scores
                whose name differs in case alone
        """
        for name in result.segment_scores:
            if name != self.name and name.casefold() == self.name.casefold():
                raise UserError(f"--score {self.name}: the result has {name}: give it that name")
        translations = read_output(directory, result)
        numbers = read_numbers(self.path, translations)
        if len(numbers) != len(translations):
            raise UserError(
                f"{self.path} has {len(numbers)} scores for {len(translations)} translations"
            )
        for number, score in enumerate(numbers, start=1):
            if not abs(score) <= LARGEST:
                raise UserError(
                    f"{self.path}: score {number} is {score}, not from {-LARGEST:g} to {LARGEST:g}"
                )
        if self.path.stat().st_mtime < (directory / result.output).stat().st_mtime:
            print(f"{self.path} is older than {result.output}: make sure that it is of these")
        case = "lc" if result.test_set.text.lowercase else "mixed"
        return ReadScores(
            self.name,
            f"{self.signature}|case:{case}",
            self.higher_is_better,
            [repr(number) for number in numbers],
        )


@dataclass(frozen=True)
class ReadScores:
    """The scores of all translations of a test set."""

    name: str
    signature: str  # with the case of the text, as in sacreBLEU's
    higher_is_better: bool
    lines: list[str]  # a number each


def add_score_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that give scores of other programs."""
    parser.add_argument(
        "--score",
        nargs="+",
        action="extend",
        type=named_text,
        default=[],
        metavar="NAME=FILE",
        help="scores that another program has made of the translations in --results-path: one "
        "number a line, the lines that comet-score prints, or its JSON",
    )
    parser.add_argument(
        "--score-signature",
        nargs="+",
        action="extend",
        type=named_text,
        default=[],
        metavar="NAME=TEXT",
        help="all that these scores depend on, such as COMET=wmt22-comet-da|version:2.2.2",
    )
    parser.add_argument(
        "--lower-is-better",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="which of these scores count errors, such as MetricX",
    )


def named_text(text: str) -> tuple[str, str]:
    """Parse NAME=TEXT, as an option's ``type``."""
    name, separator, value = text.partition("=")
    if not (name and separator and value.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=…")
    return name, value


def given_scores(args: argparse.Namespace) -> tuple[GivenScores, ...]:
    """Take what :func:`add_score_arguments` declares; UserError if the options do not match."""
    files = dict(args.score)
    signatures = {name: text.strip() for name, text in args.score_signature}
    for option, names in (
        ("--score", [name for name, _ in args.score]),
        ("--score-signature", [name for name, _ in args.score_signature]),
        ("--lower-is-better", args.lower_is_better),
    ):
        # in any case, since some file systems keep COMET and Comet in one file
        folded = [name.casefold() for name in names]
        for name in names:
            if folded.count(name.casefold()) > 1:
                raise UserError(f"{option} has {name} twice")
            if name not in files:
                raise UserError(f"{option} {name}: give its file as well, --score {name}=FILE")
    for name in files:
        if name not in signatures:
            raise UserError(
                f"--score {name}: say by which model and version it was made, --score-signature "
                f"{name}=TEXT: a number without it compares with nothing"
            )
    return tuple(
        GivenScores(name, Path(file), signatures[name], name not in args.lower_is_better)
        for name, file in files.items()
    )


# The forms of a file


def read_numbers(path: Path, translations: Sequence[str]) -> list[float]:
    """Read a file of one number a line, of the lines that comet-score prints, or of its JSON."""
    lines = list(read_lines(path))
    if "".join(lines[:1]).lstrip().startswith("{"):
        return list(numbers_of_json(path, "\n".join(lines), translations))
    if any(map(PRINTED.fullmatch, lines)):
        return numbers_printed(path, lines)
    return [number_of(line, f"{path}, line {n}") for n, line in enumerate(lines, start=1)]


def numbers_printed(path: Path, lines: Sequence[str]) -> list[float]:
    """The scores in the lines of comet-score; whatever else it prints is passed over."""
    found = [match for match in map(PRINTED.fullmatch, lines) if match]
    if len({match["file"] for match in found}) > 1:
        raise UserError(f"{path} has the scores of several files: score one at a time")
    if [int(match["number"]) for match in found] != list(range(len(found))):
        raise UserError(f"{path}: a segment is missing or there twice")
    return [number_of(match["score"], f"{path}, segment {match['number']}") for match in found]


def numbers_of_json(path: Path, text: str, translations: Sequence[str]) -> Iterator[float]:
    """The scores in comet-score's JSON, which names the translation of each."""
    try:
        (segments,) = json.loads(text).values()
        pairs = [(segment[JSON_SCORE], segment[JSON_TRANSLATION]) for segment in segments]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is not the JSON of comet-score for one file") from error
    for number, (score, translation) in enumerate(pairs):
        known = translations[number : number + 1]
        if known and str(translation).strip() != known[0].strip():
            raise UserError(
                f"{path}: segment {number} is of another translation: score the present ones"
            )
        yield number_of(score, f"{path}, segment {number}")


def number_of(text: Any, where: str) -> float:
    try:
        if isinstance(text, bool) or "_" in str(text):  # what Python alone takes for a number
            raise ValueError
        return float(text)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {str(text)[:40]!r} is no number") from error


# In a result


def with_scores(result: Result, scores: ReadScores, directory: Path) -> Result:
    """Add scores to a result, in whose directory they are written."""
    path = directory / f"{result.test_set.subset}.scores.{scores.name}"
    write_lines(path, scores.lines)
    record = SegmentScores(path.name, sha256(path), scores.higher_is_better)
    score = SegmentScorer(scores.name, scores.signature, len(scores.lines)).score(scores.lines)
    return add(result, scores.name, score, scores.signature, record)


def with_kept_scores(result: Result, earlier: Result) -> Result:
    """Add the scores of an earlier result of the same translations."""
    for name, record in earlier.segment_scores.items():
        result = add(result, name, earlier.scores[name], earlier.signatures[name], record)
    return result


def add(result: Result, name: str, score: float, signature: str, record: SegmentScores) -> Result:
    if (result.segment_scores.get(name), result.signatures.get(name)) == (record, signature):
        return result
    return replace(
        result,
        scores={**result.scores, name: score},
        signatures={**result.signatures, name: signature},
        segment_scores={**result.segment_scores, name: record},
        significance=None,  # it is of other scores
    )


def segment_signatures(result: Result) -> dict[str, str]:
    return {name: result.signatures[name] for name in result.segment_scores}


def kept_scores(directory: Path, result: Result, name: str) -> list[str]:
    """Read scores from a result's directory; UserError if they are missing or changed."""
    record = result.segment_scores[name]
    path = directory / record.file
    if not path.is_file():
        raise UserError(f"{path}, the {name} scores of {result.system}, are not there")
    if sha256(path) != record.sha256:
        raise UserError(f"{path} has changed: give {result.system}'s scores again by --score")
    return list(read_lines(path))


class SegmentMean(LabelMetric):
    """The mean of scores, as a metric of sacreBLEU's whose output is the scores as text."""

    def __init__(self, number: int) -> None:
        super().__init__([""] * number)

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict) -> list[float]:
        return [float(hypothesis), 1]

    def of_sums(self, total: float, number: float) -> float:
        return total / number

    def _compute_score_from_stats(self, stats: np.ndarray) -> Score:
        return Score(type(self).__name__, self.of_sums(*map(float, stats)))


class SegmentScorer(Scorer):
    """Scores and resamples what another program has scored, by the resamples of all metrics."""

    def __init__(self, name: str, signature: str, number: int) -> None:
        """
        Args:
            number: of translations
        """
        self.name, self.own_signature = name, signature
        self.tokenize, self.metric = str, SegmentMean(number)

    @property
    def signature(self) -> str:
        return self.own_signature

    def signature_of_test(self, signature: Signature) -> str:
        resampling = (f"{key}:{signature.info[key]}" for key in ("bs", "seed"))
        return "|".join([self.own_signature, *resampling])
