"""Cleaning of training pairs: the filters of Xu et al. (2022), appendix A, on all cores.

Nothing here imports torch or fairseq, which the processes that clean do without.
"""

import functools
import multiprocessing
import os
import re
import signal
import threading
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from typing import Any

from sacremoses import MosesTokenizer

from ... import WITHOUT_FAIRSEQ
from ...errors import UserError
from ..languages import base_language
from .normalization import leaves_no_piece

Pair = tuple[str, str]


RULES = ("empty", "word", "ratio", "length")
LONGEST_WORD = 1000  # characters
BLOCK = 1000  # pairs that a process cleans at a time
IN_FLIGHT = 4  # blocks per process that are read ahead


@dataclass(frozen=True)
class Cleaner:
    """Drops pairs by their lengths in Moses tokens, and lower-cases the others if asked.

    ``max_ratio`` is that of the longer side to the shorter, ``max_length`` that of the longer. A
    side is empty if it has no token, or if ``normalization``, a rule of SentencePiece, leaves
    nothing of it. As in Moses' clean-corpus-n.perl a word of over 1,000 characters is none.
    """

    source_lang: str
    target_lang: str
    max_ratio: float
    max_length: int
    lowercase: bool
    normalization: str

    def clean(self, pairs: Iterable[Pair]) -> tuple[list[Pair], Counter[str]]:
        """Return the pairs that are kept, and how many were kept or dropped by each rule."""
        kept = []
        counts = Counter()
        for pair in pairs:
            verdict = self.judge(*pair)
            counts[verdict] += 1
            if verdict == "kept":
                kept.append(tuple(map(str.lower, pair)) if self.lowercase else pair)
        return kept, counts

    def judge(self, source: str, target: str) -> str:
        """Return the first rule that drops a pair, or "kept"."""
        if has_long_word(source) or has_long_word(target):
            return "word"
        if any(leaves_no_piece(side, self.normalization) for side in (source, target)):
            return "empty"
        # Moses splits at an accent that stands by itself: the same text has to count the same
        source, target = unicodedata.normalize("NFC", source), unicodedata.normalize("NFC", target)
        source_lang, target_lang = moses(self.source_lang), moses(self.target_lang)
        least_source, most_source = source_lang.bounds(source)
        least_target, most_target = target_lang.bounds(target)
        # Most pairs are kept however Moses would tokenise them: then it need not.
        extremes = (least_source, most_target), (most_source, least_target)
        if all(self.judge_lengths(*lengths) == "kept" for lengths in extremes):
            return "kept"
        return self.judge_lengths(source_lang.length(source), target_lang.length(target))

    def judge_lengths(self, source_length: int, target_length: int) -> str:
        """Return the first rule that drops a pair of so many Moses tokens, or "kept"."""
        shorter, longer = sorted((source_length, target_length))
        if shorter == 0:
            return "empty"
        if longer / shorter > self.max_ratio:
            return "ratio"
        if longer > self.max_length:
            return "length"
        return "kept"


def has_long_word(text: str) -> bool:
    return len(text) > LONGEST_WORD and max(map(len, text.split()), default=0) > LONGEST_WORD


class Moses(MosesTokenizer):
    """The Moses tokeniser of a language, with the rules of English where it knows none.

    It makes the same tokens as sacremoses, which builds a set of its alphabets, of a hundred
    thousand characters, for every full stop.
    """

    def __init__(self, lang: str) -> None:
        super().__init__(lang)
        self._alphabet = frozenset(self.IsAlpha)
        self._lower_case = frozenset(self.IsLower)
        self._finest = re.compile(rf"[{self.IsAlnum}]+|[^{self.IsAlnum}\s]")
        self._vanishing = re.compile(r"[\x00-\x1f]")

    def isanyalpha(self, text: str) -> bool:
        return not self._alphabet.isdisjoint(text)

    def islower(self, text: str) -> bool:
        return self._lower_case.issuperset(text)

    def length(self, line: str) -> int:
        """The number of tokens in a line."""
        return len(self.tokenize(line, escape=False))

    def bounds(self, line: str) -> tuple[int, int]:
        """The least and the greatest number of tokens that a line can have, found quickly.

        Moses only ever splits, and only beside a character that is no letter or digit. It joins
        nothing, but leaves out control characters, of which a word may consist.
        """
        least = 0 if self._vanishing.search(line) else len(line.split())
        return least, len(self._finest.findall(line))


@functools.cache
def moses(lang: str) -> Moses:
    return Moses(base_language(lang))


def clean_in_parallel(
    cleaner: Cleaner, pairs: Iterable[Pair], workers: int
) -> Iterator[tuple[list[Pair], Counter[str]]]:
    """Yield what ``cleaner`` makes of the pairs, block after block, in their order.

    Few blocks are in memory at a time, however many pairs there are.

    Raises:
        UserError: a process was killed.
    """
    pairs = iter(pairs)
    blocks = iter(lambda: list(islice(pairs, BLOCK)), [])
    try:
        with ProcessPoolExecutor(workers, clean_processes(), start_worker) as processes:
            yield from in_order(processes, cleaner.clean, blocks, IN_FLIGHT * workers)
    except BrokenProcessPool as error:
        raise UserError(
            "a process that cleans text was killed: if for want of memory, lower --workers"
        ) from error


def clean_processes() -> BaseContext:
    """Processes that begin without the threads of this one.

    A fork of a process in which torch, OpenMP or SentencePiece has started threads may wait for
    ever on a lock that one of them held. These are forks of a server that has one thread, and has
    imported this module for them all.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with environment({WITHOUT_FAIRSEQ: "1", "OMP_NUM_THREADS": "1"}):  # numpy starts threads too
        forkserver.ensure_running()
    return context


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Have these environment variables for the processes that begin within."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def in_order(
    executor: Executor, function: Callable[[Any], Any], arguments: Iterable[Any], in_flight: int
) -> Iterator[Any]:
    """Like ``executor.map``, which would take up all arguments at once: only so many ahead."""
    pending = deque()
    for argument in arguments:
        pending.append(executor.submit(function, argument))
        if len(pending) == in_flight:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def start_worker() -> None:
    """Leave Ctrl-C to the parent process, and end when that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
