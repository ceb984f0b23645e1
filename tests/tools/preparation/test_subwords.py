import pytest
from fairseq.options import get_preprocessing_parser
from fairseq_cli import preprocess
from sentencepiece import SentencePieceProcessor

from intra_distill.files import write_lines
from intra_distill.tools.preparation import subwords
from intra_distill.tools.preparation.pieces import pieces_of

from ...support.text import toy_pairs

RULE = "nmt_nfkc"


TEXT = [german for german, _ in toy_pairs(120, seed=1)]


def train(vocab_size: int) -> SentencePieceProcessor:
    model = subwords.train_sentencepiece(TEXT, vocab_size, RULE)
    return SentencePieceProcessor(model_proto=model)


@pytest.fixture(scope="module")
def processor() -> SentencePieceProcessor:
    return train(80)


@pytest.mark.parametrize("block", [1, 7, 1000])
@pytest.mark.parametrize("threads", [1, 5])
def test_binaries_are_those_of_fairseq_preprocess(processor, block, threads, tmp_path, monkeypatch):
    monkeypatch.setattr(subwords, "BLOCK", block)
    lines = ["", *TEXT, "", "漢", "x 漢 ß", ""]
    dictionary = subwords.make_dictionary(processor)
    subwords.binarise(processor, dictionary, lines, tmp_path / "train", RULE, threads)

    names = pieces_of(processor)
    pieces = [" ".join(names[i] for i in processor.encode(line)) for line in lines]
    for lang in ("de", "en"):
        write_lines(tmp_path / f"text.{lang}", pieces)
    dictionary.save(str(tmp_path / "dict.txt"))
    preprocess.main(
        get_preprocessing_parser().parse_args(
            f"-s de -t en --joined-dictionary --srcdict {tmp_path}/dict.txt "
            f"--trainpref {tmp_path}/text --destdir {tmp_path}/fairseq".split()
        )
    )
    for extension in ("bin", "idx"):
        made = (tmp_path / f"train.{extension}").read_bytes()
        expected = tmp_path / "fairseq" / f"train.de-en.de.{extension}"
        assert made == expected.read_bytes()
    assert (tmp_path / "fairseq/dict.de.txt").read_bytes() == (tmp_path / "dict.txt").read_bytes()


@pytest.mark.parametrize("vocab_size", [70, 71, 80])
def test_dictionary_has_the_pieces_and_no_padding(vocab_size):
    model = train(vocab_size)
    dictionary = subwords.make_dictionary(model)
    assert len(dictionary) == vocab_size + 1  # 4 special symbols for SentencePiece's 3
    assert dictionary.symbols[4:] == pieces_of(model)[3:]
