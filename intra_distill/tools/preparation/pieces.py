"""Text → pieces, as they are in a data directory that is finished.

Nothing here imports torch or fairseq, so that ``intra-distill encode`` starts in a fraction of a
second.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from ...errors import UserError
from ...files import check_plain, decode_lines
from ..prepared import open_prepared
from .normalization import RULES, for_sentencepiece

MODEL = "sentencepiece.model"
SPECIAL_PIECES = ("<unk>", "<s>", "</s>")
STANDARD_INPUT = "the standard input"


class PieceEncoder:
    """Cuts raw text into the pieces of a data directory, as ``intra-distill prepare`` did."""

    def __init__(self, data: Path) -> None:
        """
        Raises:
            UserError: the directory is not prepared or has no SentencePiece model
        """
        self.text_format = open_prepared(data).text_format
        self._processor = read_sentencepiece(data)
        if self.text_format.normalization not in RULES:
            rule = self.text_format.normalization
            raise UserError(f"{data}: SentencePiece has no rule {rule!r}")
        self._names = pieces_of(self._processor)

    def __call__(self, line: str) -> list[str]:
        """The pieces of a line, <unk> included; none of a line that normalisation leaves empty."""
        text_format = self.text_format
        line = for_sentencepiece(text_format.in_case(line), text_format.normalization)
        # not as text: SentencePiece would spell an unknown </s>, and fairseq know it
        return [self._names[i] for i in self._processor.encode(line)]


def encode(data: Path, text: Iterable[bytes]) -> Iterator[str]:
    """Yield the pieces of each line of raw text, joined by spaces, as soon as the line is there.

    Raises:
        UserError: as :class:`PieceEncoder`, or a line of the text, which is named, is not plain
            UTF-8.
    """
    encoder = PieceEncoder(data)
    for line in read_standard_input(text):
        yield " ".join(encoder(line))


def read_standard_input(text: Iterable[bytes]) -> Iterator[str]:
    """Yield its lines as they come; UserError, which names the line, for one not plain UTF-8."""
    return check_plain(decode_lines(text, STANDARD_INPUT), STANDARD_INPUT)


def read_sentencepiece(data: Path) -> SentencePieceProcessor:
    """Read the SentencePiece model of a data directory; UserError if that fails."""
    path = data / MODEL
    try:
        return SentencePieceProcessor(model_proto=path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except RuntimeError as error:
        raise UserError(f"{path} is no SentencePiece model: prepare again") from error


def pieces_of(processor: SentencePieceProcessor) -> list[str]:
    """Return the pieces of a SentencePiece model in the order of their ids."""
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
