"""The Moses tokeniser, whose tokens the filters count and tokenised BLEU scores.

Nothing here imports torch or fairseq, so that the processes that filter start quickly and small.
"""

import functools
import re

from sacremoses import MosesTokenizer

from .languages import base_language


class Moses(MosesTokenizer):
    """The Moses tokeniser of a language; it uses English rules for languages without their own.

    The tokens are those of sacremoses. It is faster: for every full stop, sacremoses builds a set
    of a hundred thousand letters.
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
        """Return a lower and an upper bound of the number of tokens, without tokenising.

        Moses only splits, and only next to a character that is neither a letter nor a digit. It
        never joins words, but removes control characters, and a word may consist of them.
        """
        least = 0 if self._vanishing.search(line) else len(line.split())
        return least, len(self._finest.findall(line))


@functools.cache
def moses(lang: str) -> Moses:
    return Moses(base_language(lang))
