"""Filters training pairs as in Xu et al. (2022), appendix A, on all cores.

Nothing here imports torch or fairseq, so that the processes that filter start quickly and small.
"""

import multiprocessing
import os
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

from ... import WITHOUT_FAIRSEQ
from ...errors import UserError
from ..moses import moses
from .normalization import leaves_no_piece

Pair = tuple[str, str]

FILTERS = ("empty", "word", "ratio", "length")
LONGEST_WORD = 1000  # characters
BLOCK = 1000  # pairs that a process filters at a time
IN_FLIGHT = 4  # blocks per process that are read ahead


@dataclass(frozen=True)
class Cleaner:
    """Drops pairs by their lengths in Moses tokens, and can lower-case the others.

    Attributes:
        max_ratio: of the longer side's length to the shorter side's.
        max_length: of the longer side.
        lowercase: lower-case the pairs that are kept.
        normalization: SentencePiece's rule. A side is empty if it has no token, or if the rule
            leaves nothing of it.

    As in Moses' clean-corpus-n.perl, a pair with a word of over 1,000 characters is dropped too.
    """

    source_lang: str
    target_lang: str
    max_ratio: float
    max_length: int
    lowercase: bool
    normalization: str

    def clean(self, pairs: Iterable[Pair]) -> tuple[list[Pair], Counter[str]]:
        """Return the pairs that are kept, and how many were kept or dropped by each filter."""
        kept = []
        counts = Counter()
        for pair in pairs:
            verdict = self.judge(*pair)
            counts[verdict] += 1
            if verdict == "kept":
                kept.append(tuple(map(str.lower, pair)) if self.lowercase else pair)
        return kept, counts

    def judge(self, source: str, target: str) -> str:
        """Return the first filter that drops a pair, or "kept"."""
        if has_long_word(source) or has_long_word(target):
            return "word"
        if any(leaves_no_piece(side, self.normalization) for side in (source, target)):
            return "empty"
        # Moses splits at a combining accent: without NFC the same text would have several lengths
        source, target = unicodedata.normalize("NFC", source), unicodedata.normalize("NFC", target)
        source_lang, target_lang = moses(self.source_lang), moses(self.target_lang)
        least_source, most_source = source_lang.bounds(source)
        least_target, most_target = target_lang.bounds(target)
        # Most pairs are kept whatever their exact lengths are: then Moses need not tokenise them.
        extremes = (least_source, most_target), (most_source, least_target)
        if all(self.judge_lengths(*lengths) == "kept" for lengths in extremes):
            return "kept"
        return self.judge_lengths(source_lang.length(source), target_lang.length(target))

    def judge_lengths(self, source_length: int, target_length: int) -> str:
        """Return the first filter that drops a pair of these lengths, or "kept"."""
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


def clean_in_parallel(
    cleaner: Cleaner, pairs: Iterable[Pair], workers: int
) -> Iterator[tuple[list[Pair], Counter[str]]]:
    """Yield what ``cleaner.clean`` returns for each block of pairs, in order.

    Only a few blocks are in memory at a time.

    Raises:
        UserError: a process was killed.
    """
    pairs = iter(pairs)
    blocks = iter(lambda: list(islice(pairs, BLOCK)), [])
    try:
        with ProcessPoolExecutor(workers, forkserver_context(), start_worker) as processes:
            yield from map_in_order(processes, cleaner.clean, blocks, IN_FLIGHT * workers)
    except BrokenProcessPool as error:
        raise UserError(
            "a process that filters text was killed: if the memory was full, lower --workers"
        ) from error


def forkserver_context() -> BaseContext:
    """Return a context whose processes do not inherit the threads of this one.

    If torch, OpenMP or SentencePiece has started threads, a fork may wait forever for a lock that
    one of them held. The processes are forked from a server with a single thread instead, which has
    imported this module once for all of them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    one_thread = {"OMP_NUM_THREADS": "1"}  # numpy would start threads too
    with environment_variables({WITHOUT_FAIRSEQ: "1", **one_thread}):
        forkserver.ensure_running()
    return context


@contextmanager
def environment_variables(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that start within."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def map_in_order(
    executor: Executor, function: Callable[[Any], Any], arguments: Iterable[Any], in_flight: int
) -> Iterator[Any]:
    """Like ``executor.map``, but only ``in_flight`` arguments are read ahead, not all."""
    pending = deque()
    for argument in arguments:
        pending.append(executor.submit(function, argument))
        if len(pending) == in_flight:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def start_worker() -> None:
    """Leave Ctrl-C to the parent process, and end when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
