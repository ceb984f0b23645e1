"""BERT's word pieces (Devlin et al., 2019), and their indices in fairseq's dictionary."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from fairseq.data import Dictionary

from ...errors import UserError
from ...files import read_json, read_lines, sha256
from ..directory import MALFORMED

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARY, DICTIONARY, MODEL_FACTS = "vocab.txt", "dict.txt", "bert.json"
PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL_PIECES = (PAD, UNK, CLS, SEP, MASK)
FAIRSEQ_MASK = "<mask>"  # which its task adds to every dictionary
BLOCK = 1000  # sentences to encode at a time


@dataclass(frozen=True)
class Vocabulary:
    """The word pieces of a BERT, as ``intra-distill bert`` has put them into a folder.

    Attributes:
        words: in the order of BERT's ids.
        lowercase: whether text is lower-cased, and loses its accents.
    """

    folder: Path
    words: list[str]
    lowercase: bool
    dictionary: Dictionary

    @property
    def sha256(self) -> str:
        return sha256(self.folder / VOCABULARY)


class Encoded(NamedTuple):
    """The indices of a sentence or a pair in fairseq's dictionary, without [CLS].

    Attributes:
        first, second: each with its [SEP].
        truncated: whether pieces were left out.
    """

    first: np.ndarray
    second: np.ndarray | None
    truncated: bool


def read_vocabulary(folder: Path) -> Vocabulary:
    """Read the vocabulary in a folder that ``intra-distill bert`` has made.

    Raises:
        UserError: a file is missing or malformed, or the dictionary is another vocabulary's.
    """
    for name in (VOCABULARY, DICTIONARY, MODEL_FACTS):
        if not (folder / name).is_file():
            raise UserError(f"--bert {folder} has no {name}: make it by intra-distill bert")
    try:
        lowercase = read_json(folder / MODEL_FACTS)["lowercase"]
    except MALFORMED:
        lowercase = None
    if not isinstance(lowercase, bool):
        raise UserError(
            f"{folder / MODEL_FACTS} is not what intra-distill bert wrote: make it again"
        )
    words = list(read_lines(folder / VOCABULARY))
    check_words(words, folder / VOCABULARY)
    dictionary = make_dictionary(words)
    in_file = [line.rpartition(" ")[0] for line in read_lines(folder / DICTIONARY)]
    if in_file != dictionary.symbols[dictionary.nspecial : -1]:
        raise UserError(
            f"{folder / DICTIONARY} is not the dictionary of {VOCABULARY} beside it: make both "
            "again by intra-distill bert"
        )
    return Vocabulary(folder, words, lowercase, dictionary)


def check_words(words: list[str], path: Path) -> None:
    """Raise UserError for a vocabulary that has no place for a word, or two for the same one."""
    if missing := [piece for piece in SPECIAL_PIECES if piece not in words]:
        raise UserError(f"{path} has no {missing[0]}: it is not the vocabulary of a BERT")
    seen = dict.fromkeys([*Dictionary().symbols, FAIRSEQ_MASK], "is fairseq's own symbol")
    for number, word in enumerate(words, start=1):
        fault = seen.get(word) if word.split() == [word] else "is not a word"
        if fault:
            raise UserError(f"{path}, line {number}: {word!r} {fault}: give a BERT's vocabulary")
        seen[word] = f"is in line {number} too"


def make_dictionary(words: Iterable[str]) -> Dictionary:
    """Make fairseq's dictionary: [CLS], [PAD], [SEP] and [UNK] under fairseq's names; [MASK] last.

    All other words are in the order of BERT's vocabulary.
    """
    dictionary = Dictionary()
    for word in words:
        if word not in SPECIAL_PIECES:
            dictionary.add_symbol(word)
    dictionary.add_symbol(FAIRSEQ_MASK)
    return dictionary


def indices_of(words: Iterable[str], dictionary: Dictionary) -> np.ndarray:
    """The index of each word of BERT's vocabulary in fairseq's dictionary."""
    names = {
        CLS: dictionary.bos_word,
        PAD: dictionary.pad_word,
        SEP: dictionary.eos_word,
        UNK: dictionary.unk_word,
        MASK: FAIRSEQ_MASK,
    }
    return np.array([dictionary.index(names.get(word, word)) for word in words])


class WordPieceEncoder:
    """Makes word pieces of sentences and pairs, and of pieces their indices in the dictionary.

    Text that reads "[SEP]" becomes the pieces of its characters: the model finds the end of the
    first sentence by the symbol.

    Raises:
        UserError: the package tokenizers is missing.
    """

    def __init__(self, vocabulary: Vocabulary, max_length: int) -> None:
        self._tokenizer = make_tokenizer(vocabulary, max_length)
        self._indices = indices_of(vocabulary.words, vocabulary.dictionary)

    def encode(self, texts: Iterable[tuple[str, str | None]]) -> Iterator[Encoded]:
        """Yield the indices of sentences, or of pairs, in their order.

        What is longer than the maximum loses the last pieces of its longer sentence, one by one.
        """
        texts = iter(texts)
        while block := list(islice(texts, BLOCK)):
            inputs = [first if second is None else (first, second) for first, second in block]
            for (_, second), encoding in zip(block, self._tokenizer.encode_batch(inputs)):
                indices, types = self._indices[encoding.ids], np.array(encoding.type_ids)
                yield Encoded(
                    first=indices[types == 0][1:],
                    second=None if second is None else indices[types == 1],
                    truncated=bool(encoding.overflowing),
                )


def make_tokenizer(vocabulary: Vocabulary, max_length: int) -> "Tokenizer":
    """Make Hugging Face's tokenizer of a BERT, except that no text becomes a special piece."""
    try:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    except ImportError as error:
        raise UserError(
            "word pieces need the package tokenizers: pip install 'intra_distill[nlu]'"
        ) from error
    ids = {word: i for i, word in enumerate(vocabulary.words)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=UNK, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=vocabulary.lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing((SEP, ids[SEP]), (CLS, ids[CLS]))
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    return tokenizer
