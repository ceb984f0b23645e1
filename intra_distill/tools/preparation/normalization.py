"""SentencePiece's normalisation of text, which comes before it cuts the text into pieces.

Nothing here imports torch, so that the processes that filter text start in a fraction of a second.
"""

import functools
import re
import sys

from sentencepiece import SentencePieceNormalizer

RULES = ("nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity")  # _cf: with case folding
WHITE_SPACE = [
    char for char in map(chr, range(sys.maxunicode + 1)) if char.isspace() and char != " "
]


@functools.cache
def normalizer(rule: str) -> SentencePieceNormalizer:
    # as in a model; the defaults for white space depend on SentencePiece's version
    return SentencePieceNormalizer(
        rule_name=rule,
        add_dummy_prefix=False,
        escape_whitespaces=True,
        remove_extra_whitespaces=True,
    )


@functools.cache
def remaining_white_space(rule: str) -> re.Pattern[str]:
    """Match the white space that a rule does not normalise.

    fairseq splits at all that Python calls white space: it would read a piece that contains an
    ideographic space as two.
    """
    remaining = [char for char in WHITE_SPACE if char in normalizer(rule).normalize(f"a{char}b")]
    return re.compile(f"[{re.escape(''.join(remaining))}]")


def for_sentencepiece(line: str, rule: str) -> str:
    """Make a line ready for SentencePiece, to be trained on or to be cut into pieces."""
    return remaining_white_space(rule).sub(" ", line)


def leaves_no_piece(line: str, rule: str) -> bool:
    """Whether normalisation makes a line empty, as ``nmt_nfkc`` does with U+200B alone."""
    if any(map(str.isalnum, line)):  # no rule removes a letter or a digit
        return False
    return not normalizer(rule).normalize(for_sentencepiece(line, rule))
