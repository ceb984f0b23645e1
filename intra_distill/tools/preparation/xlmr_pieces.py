"""XLM-R's pieces of text (Conneau et al., 2020), and their indices in fairseq's dictionary."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from fairseq.data import Dictionary
from sentencepiece import SentencePieceProcessor

from ...errors import UserError
from ...files import read_lines, sha256

PIECES, DICTIONARY, MODEL_FACTS = "sentencepiece.bpe.model", "dict.txt", "xlmr.json"
SPECIAL_PIECES = ["<unk>", "<s>", "</s>"]  # SentencePiece's first three
FAIRSEQ_MASK = "<mask>"  # the last row of XLM-R's embeddings
SPACE = "▁"


class Piece(NamedTuple):
    """A piece of a word.

    Attributes:
        index: in the dictionary.
        start, end: the word's characters that it stands for, [start, end); none for a lone space.
    """

    index: int
    start: int
    end: int


@dataclass(frozen=True)
class XlmrPieces:
    """The SentencePiece model of an XLM-R, as ``intra-distill xlmr`` has put it into a folder.

    Attributes:
        dictionary: of fairseq, in the order of the model's embeddings.
    """

    folder: Path
    processor: SentencePieceProcessor
    dictionary: Dictionary

    @property
    def sha256(self) -> str:
        return sha256(self.folder / PIECES)

    @cached_property
    def indices(self) -> list[int]:
        """The index in the dictionary of each of SentencePiece's ids."""
        first = self.dictionary.nspecial
        others = range(first, first + len(self.processor) - len(SPECIAL_PIECES))
        return [self.dictionary.unk(), self.dictionary.bos(), self.dictionary.eos(), *others]

    def encode(self, word: str) -> list[Piece]:
        """Cut a word into pieces.

        SentencePiece normalises it first (NFKC and more): the characters of a piece are those of
        the word as it is given. A character that becomes several belongs to each of their pieces.
        """
        ids = self.processor.encode(word)
        texts = self.processor.encode(word, out_type=str)
        _, offsets = self.processor.normalize(word, with_offsets=True)
        pieces, position = [], 0
        for i, text in zip(ids, texts, strict=True):
            start, end = offsets[position], offsets[position + len(text)]
            if start == end and text != SPACE:
                end += 1  # a part of one character
            pieces.append(Piece(self.indices[i], start, end))
            position += len(text)
        return pieces


def read_pieces(folder: Path) -> XlmrPieces:
    """Read the SentencePiece model in a folder that ``intra-distill xlmr`` has made.

    Raises:
        UserError: a file is missing or malformed, or the dictionary is of other pieces.
    """
    for name in (PIECES, DICTIONARY, MODEL_FACTS):
        if not (folder / name).is_file():
            raise UserError(f"--xlmr {folder} has no {name}: make it by intra-distill xlmr")
    processor = read_processor(folder / PIECES)
    dictionary = make_dictionary(processor)
    in_file = [line.rpartition(" ")[0] for line in read_lines(folder / DICTIONARY)]
    if in_file != list(own_pieces(processor)):
        raise UserError(
            f"{folder / DICTIONARY} is not the dictionary of {PIECES} beside it: make both again "
            "by intra-distill xlmr"
        )
    return XlmrPieces(folder, processor, dictionary)


def read_processor(path: Path) -> SentencePieceProcessor:
    """Read a SentencePiece model, whose first pieces must be XLM-R's.

    Raises:
        UserError: it cannot be read, or its special pieces are others.
    """
    try:
        processor = SentencePieceProcessor(model_proto=path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except RuntimeError as error:
        raise UserError(f"{path} is no SentencePiece model") from error
    first = [processor.id_to_piece(i) for i in range(min(len(processor), len(SPECIAL_PIECES)))]
    if first != SPECIAL_PIECES:
        raise UserError(
            f"{path} is not XLM-R's: its first pieces are {', '.join(first)}, not "
            f"{', '.join(SPECIAL_PIECES)}"
        )
    return processor


def make_dictionary(processor: SentencePieceProcessor) -> Dictionary:
    """Make fairseq's dictionary: its own symbols, the pieces in their order, and <mask>.

    Raises:
        UserError: two pieces are the same, or one is fairseq's own symbol.
    """
    dictionary = Dictionary()
    for number, piece in enumerate([*own_pieces(processor), FAIRSEQ_MASK], dictionary.nspecial):
        if dictionary.add_symbol(piece) != number:
            raise UserError(f"the SentencePiece model has the piece {piece} twice")
    return dictionary


def own_pieces(processor: SentencePieceProcessor) -> Iterator[str]:
    """The pieces of a model without the special ones."""
    return map(processor.id_to_piece, range(len(SPECIAL_PIECES), len(processor)))
