from pathlib import Path

import pytest
from fairseq.options import get_preprocessing_parser
from fairseq_cli import preprocess
from sentencepiece import SentencePieceProcessor

from intra_distill.files import write_lines
from intra_distill.tools.corpora.toy.corpus import toy_corpus
from intra_distill.tools.preparation import subwords

RULE = "nmt_nfkc"


@pytest.fixture(scope="module")
def text() -> list[str]:
    return [pair.de for pair in toy_corpus(train=120, valid=1, test=1, seed=1)["train"]]


@pytest.fixture(scope="module")
def processor(text: list[str]) -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=subwords.learn(text, 100, RULE))


@pytest.mark.parametrize("block", [1, 7, 1000])
@pytest.mark.parametrize("threads", [1, 5])
def test_binaries_are_those_of_fairseq_preprocess(
    processor: SentencePieceProcessor,
    text: list[str],
    block: int,
    threads: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subwords, "BLOCK", block)
    lines = ["", *text, "", "漢", "x 漢 ß", ""]
    dictionary = subwords.make_dictionary(processor)
    subwords.binarise(processor, dictionary, lines, tmp_path / "train", RULE, threads)

    names = subwords.pieces_of(processor)
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


@pytest.mark.parametrize("vocab_size", [70, 71, 100])
def test_dictionary_has_the_pieces_and_no_padding(text: list[str], vocab_size: int) -> None:
    model = SentencePieceProcessor(model_proto=subwords.learn(text, vocab_size, RULE))
    dictionary = subwords.make_dictionary(model)
    assert len(dictionary) == vocab_size + 1  # 4 special symbols for SentencePiece's 3
    assert dictionary.symbols[4:] == subwords.pieces_of(model)[3:]
