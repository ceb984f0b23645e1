import pytest
from sentencepiece import SentencePieceProcessor

from intra_distill.tools.preparation.normalization import (
    RULES,
    WHITE_SPACE,
    for_sentencepiece,
    leaves_no_piece,
)
from intra_distill.tools.preparation.subwords import learn, pieces_of

INVISIBLE = "\u200b\u200e\u200f\ufeff\x7f\u2581\u200c\u200d\xad\u2060\u0300\x85\u3000\xa0\t\x0b"
WORDS = "abend abba band baden bade dean dabei ebbe ebene eben bein beide dada deine nabe".split()
LINES = [
    *(f"ab{char}de" for char in [*INVISIBLE, *WHITE_SPACE]),
    *WORDS,
    *(f"{one} {other}" for one in WORDS for other in WORDS),
    "１½…，",
]


@pytest.fixture(scope="module", params=RULES)
def learnt(request) -> tuple[str, SentencePieceProcessor]:
    """A rule, and a model of characters that were normalised by it."""
    model = learn(LINES, vocab_size=38, normalization=request.param)
    return request.param, SentencePieceProcessor(model_proto=model)


def test_empty_is_what_leaves_no_piece(learnt: tuple[str, SentencePieceProcessor]) -> None:
    rule, processor = learnt
    verdicts = set()
    for line in [*INVISIBLE, "", " ", "\u200b \ufeff", "\u200b.", "１", "\u0301"]:
        pieces = processor.encode(for_sentencepiece(line, rule))
        assert leaves_no_piece(line, rule) == (not pieces), (rule, line)
        verdicts.add(not pieces)
    assert verdicts == {True, False}


def test_no_piece_comes_apart(learnt: tuple[str, SentencePieceProcessor]) -> None:
    _, processor = learnt
    pieces = pieces_of(processor)
    assert all(piece.split() == [piece] for piece in pieces)


def test_identity_keeps_what_is_not_white_space() -> None:
    model = learn(LINES, vocab_size=38, normalization="identity")
    processor = SentencePieceProcessor(model_proto=model)
    for line in ("１½…，", "ab\u200cde", "ab\xadde"):
        assert processor.decode(processor.encode(line)) == line
