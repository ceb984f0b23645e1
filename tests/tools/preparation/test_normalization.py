import pytest
from sentencepiece import SentencePieceProcessor

from intra_distill.tools.preparation.normalization import (
    RULES,
    WHITE_SPACE,
    for_sentencepiece,
    leaves_no_piece,
)
from intra_distill.tools.preparation.pieces import pieces_of
from intra_distill.tools.preparation.subwords import train_sentencepiece

INVISIBLE = "\u200b\u200e\u200f\ufeff\x7f\u2581\u200c\u200d\xad\u2060\u0300\x85\u3000\xa0\t\x0b"
WORDS = "abend abba band baden bade dean dabei ebbe ebene eben bein beide dada deine nabe".split()
LINES = [
    *(f"ab{char}de" for char in [*INVISIBLE, *WHITE_SPACE]),
    *WORDS,
    *(f"{one} {other}" for one in WORDS for other in WORDS),
    "１½…，",
]


def train(rule: str) -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=train_sentencepiece(LINES, 38, rule))


@pytest.fixture(scope="module", params=RULES)
def trained(request) -> tuple[str, SentencePieceProcessor]:
    """A rule, and a model of text that was normalised by it."""
    return request.param, train(request.param)


def test_empty_is_what_leaves_no_piece(trained):
    rule, processor = trained
    verdicts = set()
    for line in [*INVISIBLE, "", " ", "\u200b \ufeff", "\u200b.", "１", "\u0301"]:
        pieces = processor.encode(for_sentencepiece(line, rule))
        assert leaves_no_piece(line, rule) == (not pieces), (rule, line)
        verdicts.add(not pieces)
    assert verdicts == {True, False}


def test_no_piece_comes_apart(trained):
    _, processor = trained
    pieces = pieces_of(processor)
    assert all(piece.split() == [piece] for piece in pieces)


def test_identity_keeps_what_is_not_white_space() -> None:
    processor = train("identity")
    for line in ("１½…，", "ab\u200cde", "ab\xadde"):
        assert processor.decode(processor.encode(line)) == line
