"""How SentencePiece normalises text before it cuts it into pieces, and what that leaves of it.

Nothing here imports torch: the processes that filter text begin in a fraction of a second.
"""

import functools
import re
import sys

from sentencepiece import SentencePieceNormalizer

RULES = ("nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity")  # _cf: case-folded too
WHITE_SPACE = [
    char for char in map(chr, range(sys.maxunicode + 1)) if char.isspace() and char != " "
]


@functools.cache
def normalizer(rule: str) -> SentencePieceNormalizer:
    # white space as models have it; which of it is the default depends on SentencePiece's version
    return SentencePieceNormalizer(
        rule_name=rule,
        add_dummy_prefix=False,
        escape_whitespaces=True,
        remove_extra_whitespaces=True,
    )


@functools.cache
def remaining_white_space(rule: str) -> re.Pattern[str]:
    """The white space that a rule leaves as it is.

    fairseq splits pieces at whatever Python calls white space, and so would read a piece with an
    ideographic space in it as two.
    """
    remaining = [char for char in WHITE_SPACE if char in normalizer(rule).normalize(f"a{char}b")]
    return re.compile(f"[{re.escape(''.join(remaining))}]")


def for_sentencepiece(line: str, rule: str) -> str:
    """A line as SentencePiece may have it, to learn from or to cut into pieces."""
    return remaining_white_space(rule).sub(" ", line)


def leaves_no_piece(line: str, rule: str) -> bool:
    """Whether a line is empty once it is normalised, as U+200B alone is under ``nmt_nfkc``."""
    if any(map(str.isalnum, line)):  # no rule removes a letter or a digit
        return False
    return not normalizer(rule).normalize(for_sentencepiece(line, rule))
