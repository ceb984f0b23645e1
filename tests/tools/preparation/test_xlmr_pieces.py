"""XLM-R's pieces, their indices, and the characters that they stand for."""

import pytest

from intra_distill.errors import UserError
from intra_distill.tools.preparation.xlmr_pieces import read_pieces
from tests.support.xlmr import TEXTS, write_xlmr


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    return read_pieces(write_xlmr(tmp_path_factory.mktemp("xlmr") / "xlmr"))


def test_the_dictionary_is_in_the_order_of_the_embeddings(pieces):
    symbols = pieces.dictionary.symbols
    assert symbols[:4] == ["<s>", "<pad>", "</s>", "<unk>"] and symbols[-1] == "<mask>"
    # XLM-R's embeddings: SentencePiece's id + 1
    for i in range(3, len(pieces.processor)):
        assert pieces.indices[i] == i + 1
        assert symbols[i + 1] == pieces.processor.id_to_piece(i)
    assert len(symbols) == len(pieces.processor) + 2


@pytest.mark.parametrize("word", [word for text in TEXTS for word in text.split()])
def test_the_pieces_of_a_word_cover_it(pieces, word):
    encoded = pieces.encode(word)
    assert [piece.index for piece in encoded] == [
        pieces.dictionary.index(text) for text in pieces.processor.encode(word, out_type=str)
    ]
    covered = {i for piece in encoded for i in range(piece.start, piece.end)}
    assert covered == set(range(len(word)))
    assert [piece.start for piece in encoded] == sorted(piece.start for piece in encoded)


def test_characters_are_those_of_the_word_before_it_is_normalised(pieces):
    def texts(word):
        return [word[piece.start : piece.end] for piece in pieces.encode(word)]

    assert "".join(texts("Mu\u0308ller")) == "Mu\u0308ller"
    assert {"u", "\u0308"}.isdisjoint(texts("Mu\u0308ller"))  # ü is one piece, of two characters
    assert set(texts("ﬁ")) - {""} == {"ﬁ"}  # f and i are both of it
    assert pieces.encode("") == pieces.encode("\u200b") == []
    (_, unknown) = pieces.encode("☃☃")
    assert unknown.index == pieces.dictionary.unk() and (unknown.start, unknown.end) == (0, 2)


def test_another_folder_is_refused(tmp_path):
    def refusal() -> str:
        with pytest.raises(UserError) as error:
            read_pieces(tmp_path)
        return str(error.value)

    assert "has no sentencepiece.bpe.model: make it by intra-distill xlmr" in refusal()
    write_xlmr(tmp_path)
    dictionary, model = tmp_path / "dict.txt", tmp_path / "sentencepiece.bpe.model"
    lines = dictionary.read_text().splitlines()
    dictionary.write_text("\n".join([lines[1], lines[0], *lines[2:]]) + "\n")
    assert "is not the dictionary of sentencepiece.bpe.model beside it" in refusal()
    model.write_bytes(b"\x00" * 100)
    assert "is no SentencePiece model" in refusal()
