"""The joint SentencePiece model, fairseq's dictionary of its pieces, and text as their indices."""

import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from fairseq.data import Dictionary, indexed_dataset
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from ...errors import UserError
from .normalization import for_sentencepiece
from .pieces import SPECIAL_PIECES, pieces_of

BLOCK = 10_000  # lines to encode at a time


def train_sentencepiece(lines: Iterable[str], vocab_size: int, normalization: str) -> bytes:
    """Train a unigram SentencePiece model (Kudo, 2018); all lines are held in memory.

    The model contains the rule ``normalization``, and applies it to all text that it encodes.

    Raises:
        UserError: the text does not support a vocabulary of this size.
    """
    model = io.BytesIO()
    try:
        # SentencePiece would store file names in the model.
        SentencePieceTrainer.train(
            sentence_iterator=(for_sentencepiece(line, normalization) for line in lines),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            normalization_rule_name=normalization,
            character_coverage=1.0,
            max_sentence_length=2**30,  # bytes, its maximum; by default it skips long lines
            num_threads=16,  # its default; the scores depend on it
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(explain_sentencepiece(str(error), vocab_size)) from error
    return model.getvalue()


def explain_sentencepiece(message: str, vocab_size: int) -> str:
    """Return what an error of SentencePiece's training means for --vocab-size."""
    if too_high := re.search(r"too high .* <= (\d+)", message):
        return (
            f"--vocab-size {vocab_size} is more than the training text supports: "
            f"the largest possible is {too_high[1]}"
        )
    if too_low := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return (
            f"--vocab-size {vocab_size} has no room for all characters of the training text: "
            f"the smallest possible is {too_low[1]}"
        )
    return f"SentencePiece cannot be trained on the training text: {message}"


def make_dictionary(processor: SentencePieceProcessor) -> Dictionary:
    """Return fairseq's dictionary: its own four special symbols, then the pieces of text.

    fairseq-preprocess would count words instead, and pad their number to a multiple of 8.
    """
    dictionary = Dictionary()
    for piece in pieces_of(processor):
        if piece not in SPECIAL_PIECES:
            dictionary.add_symbol(piece)
    return dictionary


def binarise(
    processor: SentencePieceProcessor,
    dictionary: Dictionary,
    lines: Iterable[str],
    prefix: Path,
    normalization: str,
    threads: int,
) -> dict[str, int]:
    """Write PREFIX.bin and PREFIX.idx, bitwise as fairseq-preprocess does from the pieces.

    Text that the model does not know becomes <unk>, also where it reads "</s>" or "<pad>". From
    pieces as text, fairseq would make its own symbols of those.

    Returns:
        How many ``tokens`` are <unk>, and how many ``lines`` have one.
    """
    # SentencePiece's <unk> and </s> have fairseq's names, but other indices
    indices = np.array([dictionary.index(piece) for piece in pieces_of(processor)])
    builder = indexed_dataset.make_builder(f"{prefix}.bin", impl="mmap", vocab_size=len(dictionary))
    lines = (for_sentencepiece(line, normalization) for line in lines)
    unknown = {"tokens": 0, "lines": 0}
    while block := list(islice(lines, BLOCK)):
        for ids in processor.encode(block, add_eos=True, num_threads=threads):
            builder.add_item(torch.from_numpy(indices[ids]))
            if number := ids.count(processor.unk_id()):
                unknown["tokens"] += number
                unknown["lines"] += 1
    builder.finalize(f"{prefix}.idx")
    return unknown


def decode(dictionary: Dictionary, prefix: Path) -> Iterator[str]:
    """Yield the lines of PREFIX.bin as text, in the way fairseq-generate prints a translation."""
    for tokens in indexed_dataset.MMapIndexedDataset(str(prefix)):
        yield dictionary.string(tokens, "sentencepiece")
