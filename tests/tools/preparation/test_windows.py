"""Windows against a plain restatement of XTREME's and Hugging Face's SQuAD processor."""

from collections.abc import Callable

import pytest

from intra_distill.tools.corpora.squad import Answer
from intra_distill.tools.preparation.windows import SpanEncoder, make_windows
from intra_distill.tools.preparation.xlmr_pieces import XlmrPieces, read_pieces
from intra_distill.tools.questions import Span

from ...support.questions import PASSAGES, ask
from ...support.xlmr import write_xlmr

BOS, EOS = 0, 2
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LONG = " ".join(a + b for a in LETTERS for b in LETTERS)  # 676 words


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> XlmrPieces:
    folder = tmp_path_factory.mktemp("xlmr")
    return read_pieces(write_xlmr(folder, [*PASSAGES.values(), LONG, "ﬁsh (?) “”"], 200))


@pytest.fixture
def encoder(pieces) -> Callable[..., SpanEncoder]:
    return lambda length=384, stride=128, query=64: SpanEncoder(pieces, length, stride, query)


def restated_windows(pieces: int, query: int, length: int, stride: int) -> list[tuple[int, int]]:
    """The start and the length of each window, by what a tokenizer leaves over after each."""
    windows, rest, room = [], list(range(pieces)), length - query - 4
    while len(windows) * stride < pieces:
        windows.append((len(windows) * stride, min(len(rest), room)))
        overflow, overlap = rest[room:], room - stride
        if not overflow:
            break
        rest = rest[room - overlap : room] + overflow
    return windows


@pytest.mark.parametrize("query", [1, 8])
@pytest.mark.parametrize("length, stride", [(13, 1), (16, 4), (20, 8), (20, 7), (40, 8)])
def test_windows_are_hugging_faces(query, length, stride):
    for number in range(1, 60):
        windows = list(make_windows(number, query + 3, length - query - 4, stride))
        expected = restated_windows(number, query, length, stride)
        assert [(window.start, window.length) for window in windows] == expected
        covered = {w.start + i for w in windows for i in range(w.length)}
        assert covered == set(range(number))


@pytest.mark.parametrize("length, stride", [(384, 128), (64, 16), (72, 8)])
def test_items_have_the_question_and_a_window(encoder, pieces, length, stride):
    question = ask("q", LONG, "ab", text="Berlin in Deutschland ?")
    encoded = encoder(length, stride).encode(question)
    query = [piece.index for piece in pieces.encode(question.text)]
    words = [piece.index for word in LONG.split() for piece in pieces.encode(word)]
    assert len(encoded.items) == len(encoded.question.windows) > 1
    for item, window in zip(encoded.items, encoded.question.windows):
        part = words[window.start : window.start + window.length]
        assert item.tolist() == [BOS, *query, EOS, EOS, *part, EOS]
        assert len(item) <= length and item[window.offset :].tolist() == [*part, EOS]
    assert max(map(len, encoded.items)) == length
    assert not encoded.truncated
    assert len(encoded.question.spans) == len(words)


def said(encoded, number: int) -> list[str]:
    """What the label of each window stands for, by the pieces' characters; "" for no answer."""
    texts = []
    for (first, last), window in zip(encoded.labels, encoded.question.windows):
        if (first, last) == (0, 0):
            texts.append("")
            continue
        shift = window.start - window.offset
        spans = encoded.question.spans[first + shift : last + shift + 1]
        texts.append(encoded.question.passage[spans[0].start : spans[-1].end])
    assert len(texts) == number
    return texts


def test_a_short_passage_is_one_window(encoder):
    encoded = encoder().encode(ask("q", PASSAGES["en"], "Germany"))
    assert said(encoded, 1) == ["Germany"]
    assert encoded.gold is not None and not encoded.gold.realigned


def test_an_answer_at_either_end_of_the_passage(encoder):
    for answer in ("Berlin", "Spree.", PASSAGES["en"]):
        assert said(encoder().encode(ask("q", PASSAGES["en"], answer)), 1) == [answer]


def test_an_answer_is_in_each_window_that_has_all_of_it(encoder, pieces):
    words = LONG.split()
    spans = encoder().encode(ask("q", LONG)).question.spans
    encoded = encoder(40, 10).encode(ask("q", LONG, "by bz", text=""))
    texts = said(encoded, len(encoded.question.windows))
    assert set(texts) == {"", "by bz"} and 2 <= texts.count("by bz") <= 4
    place = words.index("by") * 3
    for text, window in zip(texts, encoded.question.windows):
        part = spans[window.start : window.start + window.length]
        whole = part[0].start <= place and part[-1].end >= place + len("by bz")
        assert (text == "by bz") == whole


def test_an_answer_that_no_window_has_whole(encoder):
    encoded = encoder(40, 10).encode(ask("q", LONG, LONG[:300]))
    assert encoded.gold is not None and set(encoded.labels) == {(0, 0)}


def test_a_long_question_is_truncated(encoder, pieces):
    encoded = encoder().encode(ask("q", PASSAGES["en"], "1237", text=LONG))
    query = [piece.index for piece in pieces.encode(LONG)][:64]
    assert encoded.truncated and encoded.items[0][:67].tolist() == [BOS, *query, EOS, EOS]
    assert said(encoded, 1) == ["1237"]
    exact = pieces.processor.decode(pieces.processor.encode(LONG)[:64])
    assert len(pieces.encode(exact)) == 64
    assert not encoder().encode(ask("q", "x", text=exact)).truncated


def test_an_empty_question_and_an_empty_passage(encoder):
    encoded = encoder().encode(ask("q", "", text=""))
    assert [item.tolist() for item in encoded.items] == [[BOS, EOS, EOS, EOS]]
    assert encoded.labels == [(0, 0)] and encoded.gold is None
    assert encoder().encode(ask("q", " \n\t", text="Where?")).question.spans == ()


def test_text_that_reads_like_a_special_symbol_stays_text(encoder):
    encoded = encoder().encode(ask("q", "<s> </s> <pad> <mask>", text="</s> <s>"))
    (item,) = encoded.items
    assert item.tolist().count(EOS) == 3 and item.tolist().count(BOS) == 1


@pytest.mark.parametrize(
    "passage, answer, expected",
    [
        (PASSAGES["zh"], "德国", "德国"),
        (PASSAGES["zh"], "1237年", "1237年"),
        (PASSAGES["ar"], "ألمانيا", "ألمانيا"),
        (PASSAGES["de"], "gegru\u0308ndet", "gegru\u0308ndet"),
        ("Berlin  liegt \n\t hier", "liegt", "liegt"),
        ("Berlin  liegt \n\t hier", "Berlin  liegt \n\t hier", "Berlin  liegt \n\t hier"),
        ("ein\u202fWort\u00a0mehr\u3000hier", "Wort\u00a0mehr", "Wort\u00a0mehr"),
        ("(1237)", "1237", "1237"),
        ("the ﬁsh is", "ﬁsh", "ﬁsh"),
        ("the ﬁsh is", " ﬁsh ", "ﬁsh"),
        ("cats", "cat", "cat"),
    ],
)
def test_an_answers_pieces_are_found_by_their_characters(pieces, passage, answer, expected):
    encoded = SpanEncoder(pieces, 384, 128, 64).encode(ask("q", passage, answer))
    (text,) = said(encoded, 1)
    assert expected in text
    covered = encoded.question.spans[encoded.gold.first : encoded.gold.last + 1]
    start = passage.index(answer)
    inner = [s for s in covered[1:-1] if not (start <= s.start <= s.end <= start + len(answer))]
    assert not inner  # only the first and the last piece may have more
    outside = {*encoded.question.spans} - {*covered}
    assert not [s for s in outside if s.start < start + len(answer) and s.end > start]


def test_a_lone_space_goes_with_its_word(monkeypatch, pieces):
    monkeypatch.setattr(
        XlmrPieces,
        "encode",
        lambda self, word: [(9, 0, 0), *((7, i, i + 1) for i in range(len(word)))],
    )
    encoded = SpanEncoder(pieces, 384, 128, 64).encode(ask("q", "ab cd ef", "cd"))
    assert encoded.question.spans[:5] == (
        Span(0, 0),
        Span(0, 1),
        Span(1, 2),
        Span(3, 3),
        Span(3, 4),
    )
    assert (encoded.gold.first, encoded.gold.last) == (3, 5)


def test_the_first_answer_that_the_passage_has_is_the_label(encoder):
    answers = [Answer("Paris", 0), Answer("1237", 0), Answer("Berlin", 0)]
    encoded = encoder().encode(ask("q", PASSAGES["en"], *answers))
    assert said(encoded, 1) == ["1237"] and encoded.gold.realigned
    assert encoder().encode(ask("q", PASSAGES["en"], *answers[:1])).gold is None
