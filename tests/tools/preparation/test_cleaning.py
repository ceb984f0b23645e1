import multiprocessing
import os
import random
import re
import signal
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sacremoses import MosesTokenizer

from intra_distill import WITHOUT_FAIRSEQ
from intra_distill.errors import UserError
from intra_distill.tools.moses import moses
from intra_distill.tools.preparation import cleaning
from intra_distill.tools.preparation.cleaning import Cleaner, Pair, clean_in_parallel
from intra_distill.tools.preparation.normalization import leaves_no_piece

WORDS = (
    "a ab Haus z.B. Mr. Nr. 5,300 5.3 e.g. U.S. l'eau don't 'tis rock'n'roll foo_bar a-b -- ... .. "
    "etc.. ….  , . ' ` ? !? (x) [y] http://a.b/c?d=e&f @me #tag | & < > \" „so“ ,, .' '. «ß» "
    "\u200fעברית سلام\u200cها 漢字、。 한국 \u0301x x\u0301 ½ ² € 😀 \x01 \x00 a\x01b \x1f \x85 "
    "\u2028 DOTMULTI DOTDOTMULTI MULTI \ufeff \u00ad \u0950 ं a.b.c. A. i. 1. Nr. 3 art. III "
).split(" ")


def make_cleaner(kind: type[Cleaner] = Cleaner, **changes: Any) -> Cleaner:
    limits = {"max_ratio": 1.5, "max_length": 10, "lowercase": False, "normalization": "nmt_nfkc"}
    return kind("de", "en", **{**limits, **changes})


def odd_lines(number: int) -> Iterator[str]:
    """Lines of up to 12 words that tokenisers stumble over, joined by spaces or by nothing."""
    rng = random.Random(number)
    for _ in range(number):
        words = rng.choices(WORDS, k=rng.randint(0, 12))
        yield "".join(word + rng.choice(["", " ", " ", " ", "\t", "\xa0"]) for word in words)


@pytest.mark.parametrize("length, verdict", [(1000, "kept"), (1001, "word"), (10**6, "word")])
def test_a_word_of_over_a_thousand_characters_is_none(length: int, verdict: str) -> None:
    cleaner = make_cleaner()
    word, words = "x" * length, f"a {'x' * length}"
    assert cleaner.judge(words, "a b") == cleaner.judge("a b", words) == verdict
    assert cleaner.judge(word, "") == verdict.replace("kept", "empty")
    assert cleaner.judge("a " * 9, "a " * 8 + "b") == "kept"


@pytest.mark.parametrize("lang", ["de", "en", "fr", "fa"])
def test_length_is_that_of_sacremoses_and_within_its_bounds(lang: str) -> None:
    reference = MosesTokenizer(lang)
    tight = 0
    for line in odd_lines(600):
        length = len(reference.tokenize(line))  # escaped, as the published scripts count
        least, most = moses(lang).bounds(line)
        assert moses(lang).length(line) == length
        assert least <= length <= most, line
        tight += 0 < least >= most - 3
    assert tight > 60  # the bounds are of use


@pytest.mark.parametrize(
    "lengths, verdict",
    [
        ((0, 3), "empty"),
        ((0, 0), "empty"),
        ((2, 3), "kept"),
        ((4, 7), "ratio"),
        ((10, 10), "kept"),
        ((11, 10), "length"),
        ((11, 2), "ratio"),
    ],
)
def test_filters(lengths: tuple[int, int], verdict: str) -> None:
    cleaner = make_cleaner()
    assert cleaner.judge_lengths(*lengths) == cleaner.judge_lengths(*lengths[::-1]) == verdict


@pytest.mark.parametrize(("max_ratio", "max_length"), [(1.0, 9), (1.5, 9), (1.5, 30), (4.0, 12)])
def test_judgement_is_that_of_the_exact_lengths(max_ratio: float, max_length: int) -> None:
    cleaner = make_cleaner(max_ratio=max_ratio, max_length=max_length)
    german, english = MosesTokenizer("de"), MosesTokenizer("en")
    verdicts = set()
    lines = list(odd_lines(2000))
    for source, target in zip(lines[::2], lines[1::2]):
        composed = [unicodedata.normalize("NFC", side) for side in (source, target)]
        lengths = len(german.tokenize(composed[0])), len(english.tokenize(composed[1]))
        verdict = cleaner.judge_lengths(*lengths)
        if any(leaves_no_piece(side, cleaner.normalization) for side in (source, target)):
            verdict = "empty"
        assert cleaner.judge(source, target) == verdict, (source, target)
        verdicts.add(verdict)
    assert verdicts == {"empty", "ratio", "length", "kept"}


@pytest.mark.parametrize("nothing", ["", " \t", "\u200b", "\ufeff", "\u200e", "\x7f", "\u2581"])
def test_a_side_that_leaves_no_piece_is_empty(nothing: str) -> None:
    cleaner = make_cleaner()
    assert cleaner.judge("Haus", nothing) == cleaner.judge(nothing, "house") == "empty"
    assert cleaner.judge("ein Haus dort", f"{nothing} a house there") == "kept"


def test_the_same_text_counts_the_same_in_any_form() -> None:
    cleaner = make_cleaner()
    words = "Größe über Äpfel früh öffnet süße Kühe Mädchen Tür schön".split()
    verdicts = Counter()
    for n in range(1, 12):
        source = " ".join(words[i % len(words)] for i in range(n))
        for m in range(1, 12):
            given = [source, " ".join(["café"] * m)]
            forms = [
                cleaner.judge(*(unicodedata.normalize(form, side) for side in given))
                for form in ("NFC", "NFD")
            ]
            assert forms[0] == forms[1]
            verdicts[forms[0]] += 1
    assert verdicts.keys() == {"kept", "ratio", "length"}


@pytest.mark.parametrize("workers", [1, 3])
def test_pairs_come_cleaned_and_in_order(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr(cleaning, "BLOCK", 2)
    cleaner = make_cleaner(lowercase=True)
    pairs = [(f"Wort {n}", f"Word {n}" if n % 3 else "") for n in range(31)]
    kept, counts = [], Counter()
    for block, block_counts in clean_in_parallel(cleaner, pairs, workers):
        kept += block
        counts += block_counts
    assert kept == [(f"wort {n}", f"word {n}") for n in range(31) if n % 3]
    assert counts == {"kept": 20, "empty": 11}


def test_only_so_many_arguments_are_read_ahead() -> None:
    read = []
    arguments = (read.append(n) or n for n in range(100))
    with ThreadPoolExecutor(2) as executor:
        results = cleaning.map_in_order(executor, lambda n: n * n, arguments, in_flight=5)
        for n, result in enumerate(results):
            assert result == n * n
            assert len(read) <= n + 5


class ReportingCleaner(Cleaner):
    """Returns what its process has imported, and the threads of its parent."""

    def clean(self, pairs: list[Pair]) -> tuple[set[str], str]:
        heavy = {"torch", "fairseq", "omegaconf"} & sys.modules.keys()
        with open(f"/proc/{os.getppid()}/status") as status:
            return heavy, re.search(r"Threads:\s*(\d+)", status.read())[1]


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="looks at Linux's /proc")
def test_processes_begin_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork of this process, with its torch and its threads, could wait forever.

    This module imports neither torch nor fairseq: that they are here is the work of conftest.py.
    """
    assert "torch" in sys.modules
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    cleaner = make_cleaner(ReportingCleaner)
    assert list(clean_in_parallel(cleaner, [("a", "b")] * 10, 2)) == [(set(), "1")]
    assert os.environ["OMP_NUM_THREADS"] == "4" and WITHOUT_FAIRSEQ not in os.environ


class SuicidalCleaner(Cleaner):
    def clean(self, pairs: list[Pair]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_ends_the_cleaning_with_a_line() -> None:
    cleaner = make_cleaner(SuicidalCleaner)
    with pytest.raises(UserError, match="was killed: .* lower --workers"):
        list(clean_in_parallel(cleaner, [("a", "b")], 2))


class SlowCleaner(Cleaner):
    """Returns the process that cleans."""

    def clean(self, pairs: list[Pair]) -> int:
        time.sleep(0.1)
        return os.getpid()


def clean_without_end(found: multiprocessing.Queue) -> None:
    cleaner = make_cleaner(SlowCleaner)
    for process in clean_in_parallel(cleaner, [("a", "b")] * 1_000_000, 3):
        found.put(process)


def is_running(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks at Linux's /proc")
def test_a_killed_command_leaves_no_processes_behind() -> None:
    context = multiprocessing.get_context("spawn")  # a fork would share this one's server
    found = context.Queue()
    command = context.Process(target=clean_without_end, args=(found,))
    command.start()
    cleaners = {found.get(timeout=60) for _ in range(9)}
    os.kill(command.pid, signal.SIGKILL)
    command.join()
    deadline = time.monotonic() + 10
    while any(map(is_running, cleaners)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, cleaners))
