"""A tiny XLM-R: its SentencePiece model, learnt from a few texts, and random weights."""

import io
import json
from collections.abc import Iterable
from pathlib import Path

from sentencepiece import SentencePieceTrainer

from intra_distill.tools.preparation.xlmr_pieces import own_pieces, read_processor

TEXTS = [
    "Die Stadt Berlin liegt in Deutschland .",
    "Angela Merkel lives in Berlin, and works for the United Nations.",
    "ﬁsh Mu\u0308ller 東京都 Москва القاهرة (Denver) 1234567890",
]


def write_xlmr(folder: Path, texts: Iterable[str] = TEXTS, pieces: int = 120) -> Path:
    """Write what ``read_pieces`` needs into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([*texts]),
        model_writer=model,
        vocab_size=pieces,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
    )
    (folder / "sentencepiece.bpe.model").write_bytes(model.getvalue())
    lines = map("{} 1\n".format, own_pieces(read_processor(folder / "sentencepiece.bpe.model")))
    (folder / "dict.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "xlmr.json").write_text(json.dumps({}))
    return folder
