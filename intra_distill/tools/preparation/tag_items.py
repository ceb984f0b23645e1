"""Makes pieces of tagged words, and cuts sentences that are too long, as XTREME's scripts do.

Hu et al. (2020), utils_preprocess.py and third_party/utils_tag.py.
"""

from functools import lru_cache
from typing import NamedTuple

from fairseq.data import Dictionary

from ..corpora.tagged_text import TaggedSentence
from .xlmr_pieces import XlmrPieces

SPECIAL_SYMBOLS = 3  # <s> before the pieces, </s> </s> after them
CACHED_WORDS = 2**20


class Word(NamedTuple):
    """The indices of a word's pieces, and whether <unk> stands for it."""

    pieces: tuple[int, ...]
    replaced: bool


class Item(NamedTuple):
    """A sentence, or a part of one that is scored as a sentence.

    Attributes:
        symbols: what the model reads: <s>, the pieces of the words, </s> and </s>.
        labels: as many: the tag of a word at its first piece, and <pad> elsewhere.
        tags: of the words.
    """

    symbols: list[int]
    labels: list[int]
    tags: list[str]


class Encoded(NamedTuple):
    """The items of a sentence, and how many of its words <unk> stands for."""

    items: list[Item]
    replaced: int


class TagEncoder:
    """Makes items of sentences.

    Each word is cut into pieces alone. <unk> stands for a word of no piece, such as a zero-width
    space, or of more than an item has room for. A sentence is cut where the next word has no room.

    Args:
        max_length: the most symbols of an item.
    """

    def __init__(self, pieces: XlmrPieces, classes: list[str], max_length: int) -> None:
        self.classes = classes
        self.labels = Dictionary()
        for tag in classes:
            self.labels.add_symbol(tag)
        self._pieces = pieces
        self._room = max_length - SPECIAL_SYMBOLS
        self._cut = lru_cache(CACHED_WORDS)(self._cut_word)

    def encode(self, sentence: TaggedSentence) -> Encoded:
        """Cut the words of a sentence into pieces, and the sentence into items."""
        groups: list[list[tuple[Word, str]]] = [[]]
        used = replaced = 0
        for text, tag in zip(*sentence):
            word = self._cut(text)
            if used + len(word.pieces) > self._room:
                groups.append([])
                used = 0
            groups[-1].append((word, tag))
            used += len(word.pieces)
            replaced += word.replaced
        return Encoded([self._make_item(group) for group in groups], replaced)

    def _cut_word(self, text: str) -> Word:
        pieces = tuple(piece.index for piece in self._pieces.encode(text))
        if 0 < len(pieces) <= self._room:
            return Word(pieces, replaced=False)
        return Word((self._pieces.dictionary.unk(),), replaced=True)

    def _make_item(self, words: list[tuple[Word, str]]) -> Item:
        begin, end, pad = self.labels.bos(), self.labels.eos(), self.labels.pad()
        symbols, labels = [begin], [pad]
        for word, tag in words:
            symbols += word.pieces
            labels += [self.labels.index(tag), *[pad] * (len(word.pieces) - 1)]
        return Item([*symbols, end, end], [*labels, pad, pad], [tag for _, tag in words])
