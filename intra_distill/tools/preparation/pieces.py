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


def encode(data: Path, text: Iterable[bytes]) -> Iterator[str]:
    """Yield the pieces of each line of raw text, joined by spaces, as soon as the line is there.

    They are those that ``intra-distill prepare`` makes of the line, <unk> included.

    Raises:
        UserError: the directory is not prepared or has no SentencePiece model, or a line of the
            text, which is named, is not plain UTF-8.
    """
    text_format = open_prepared(data).text_format
    processor = read_sentencepiece(data)
    if text_format.normalization not in RULES:
        raise UserError(f"{data}: SentencePiece has no rule {text_format.normalization!r}")
    names = pieces_of(processor)
    for line in check_plain(decode_lines(text, STANDARD_INPUT), STANDARD_INPUT):
        line = for_sentencepiece(text_format.in_case(line), text_format.normalization)
        # not as text: SentencePiece would spell an unknown </s>, and fairseq know it
        yield " ".join(names[i] for i in processor.encode(line))


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
