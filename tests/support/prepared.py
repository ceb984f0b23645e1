"""A prepared data directory of tiny German and English, word by word."""

import hashlib
import json
import random
from pathlib import Path

import sentencepiece
from fairseq import options
from fairseq_cli import preprocess

WORDS = dict(
    zip(
        "ein mann hund haus rot läuft und im".split(),
        "a man dog house red runs and in".split(),
        strict=True,
    )
)


def translate_words(sentence: str) -> str:
    return " ".join(WORDS[word] for word in sentence.split())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_prepared(text: Path, data: Path) -> Path:
    """What ``intra-distill prepare`` would leave in the folder ``data``, without validation.

    It has a test set whose size is odd, and the same one upside down, test1. The folder ``text``
    gets the pieces.
    """
    rng = random.Random(1)
    training = [" ".join(rng.choices(list(WORDS), k=rng.randint(1, 5))) for _ in range(200)]
    test = [*training[:6], "", *training[6:12], "Zug", *training[12:17]]
    references = [translate_words(s) if s != "Zug" else "train" for s in test]
    texts = {
        "train": (training, [translate_words(s) for s in training]),
        "test": (test, references),
        "test1": (test[::-1], references[::-1]),
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([s for sentences in texts["train"] for s in sentences]),
        model_prefix=str(data / "sentencepiece"),
        vocab_size=40,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    model = sentencepiece.SentencePieceProcessor(model_file=str(data / "sentencepiece.model"))
    pieces = [model.id_to_piece(i) for i in range(3, len(model))]
    dictionary = text / "dict.txt"
    dictionary.write_text("".join(f"{piece} 1\n" for piece in pieces), encoding="utf-8")
    for subset, sides in texts.items():
        for lang, sentences in zip(("de", "en"), sides, strict=True):
            lines = [" ".join(model.encode(s, out_type=str)) + "\n" for s in sentences]
            (text / f"{subset}.{lang}").write_text("".join(lines), encoding="utf-8")
        if subset != "train":
            for name, sentences in zip(("src.de", "ref.en"), sides, strict=True):
                (data / f"{subset}.{name}").write_text("".join(f"{s}\n" for s in sentences))
    arguments = ["--source-lang", "de", "--target-lang", "en", "--destdir", str(data)]
    arguments += ["--trainpref", f"{text}/train", "--testpref", f"{text}/test,{text}/test1"]
    arguments += ["--srcdict", str(dictionary), "--joined-dictionary"]
    preprocess.main(options.get_preprocessing_parser().parse_args(arguments))
    recorded = {"source_lang": "de", "target_lang": "en", "lowercase": True}
    recorded |= {"normalization": "nmt_nfkc", "sentencepiece_text": "train"}
    inputs = {path.name: {"sha256": digest(path)} for path in text.glob("*.??")}
    (data / "prepare.json").write_text(json.dumps({"options": recorded, "inputs": inputs}))
    return data
