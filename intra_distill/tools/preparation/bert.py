"""BERT's published files, as Hugging Face has them, become a checkpoint that fairseq starts from.

The directory holds

- ``model.pt``: the encoder and the pooler, for ``--finetune-from-model``. The heads of the
  pretraining are left out;
- ``model.yaml``: the sizes of the model, as a configuration;
- ``vocab.txt``: BERT's word pieces, and ``dict.txt``: the same as fairseq's dictionary;
- ``bert.json``: what they were made from.
"""

from pathlib import Path
from types import SimpleNamespace

from ...files import read_lines, sha256, write_lines
from ...models.bert import LAYER_NORM_EPS, BertConfig, BertModel
from ..corpora.download import is_url
from ..corpora.raw_text import DOWNLOADS, find_other_option
from ..directory import Content, Directory
from .hugging_face import (
    CONFIG,
    SAFETENSORS,
    fetch_files,
    read_config,
    read_sizes,
    read_weights,
    weights_of,
)
from .pretrained import MODEL, SIZES, behind_padding, load_weights, write_model
from .wordpiece import (
    DICTIONARY,
    MODEL_FACTS,
    VOCABULARY,
    check_words,
    indices_of,
    make_dictionary,
)

TOKENIZER_CONFIG = "tokenizer_config.json"
BASE = (
    "https://huggingface.co/google-bert/bert-base-uncased/resolve/"
    "86b5e0934494bd15c9632b12f734a8a67f723594/"
)
PUBLISHED = {  # size in bytes and SHA-256 of the files of bert-base-uncased, where they are known
    SAFETENSORS: (440449768, "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3"),
    VOCABULARY: (231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
}
# what the plugin's model computes, where Hugging Face's configuration says it
REQUIRED = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "layer_norm_eps": LAYER_NORM_EPS,
    "type_vocab_size": 2,
    "position_embedding_type": "absolute",
}


def make_bert(destdir: Path, source: str | None, downloads: Path) -> bool:
    """Make the directory ``destdir`` unless it is finished.

    Args:
        source: a folder with Hugging Face's files, or a URL with '/' at its end, below which they
            are; BERT base uncased on Hugging Face by default
        downloads: where fetched files are kept
    Returns:
        Whether there was anything to do.
    Raises:
        UserError: the files are not BERT's, or cannot be fetched or written
    """

    def take_steps(directory: Directory) -> Content:
        folder = Path(source) if source and not is_url(source) else downloads
        if source is None or is_url(source):
            base = source or BASE
            names = [CONFIG, TOKENIZER_CONFIG, VOCABULARY, SAFETENSORS]
            fetch_files(base, names, PUBLISHED if base == BASE else {}, downloads)
        directory.make_files(
            destdir,
            [MODEL, SIZES, DICTIONARY, VOCABULARY],
            lambda scratch: convert(folder, scratch),
        )
        return {"lowercase": reads_lowercase(folder), "files": digests(folder)}

    request = {"command": "bert", "source": source}
    return Directory(destdir, MODEL_FACTS, request, find_other_option, {DOWNLOADS}).make(take_steps)


def digests(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in (CONFIG, VOCABULARY, weights_of(folder).name)}


def reads_lowercase(folder: Path) -> bool:
    """Whether the model was trained on lower-case text; the default, as in Hugging Face."""
    path = folder / TOKENIZER_CONFIG
    return bool(read_config(path).get("do_lower_case", True)) if path.is_file() else True


def convert(folder: Path, scratch: Path) -> None:
    """Write the files of the directory into ``scratch``.

    Raises:
        UserError: a file is missing or malformed, or is of another model than BERT
    """
    sizes, _ = read_sizes(folder / CONFIG, "BERT", REQUIRED)
    words = list(read_lines(folder / VOCABULARY))
    check_words(words, folder / VOCABULARY)
    dictionary = make_dictionary(words)
    task = SimpleNamespace(source_dictionary=dictionary)
    model = BertModel.build_model(BertConfig(**sizes), task)
    tensors = read_weights(weights_of(folder))
    for name, tensor in tensors.items():
        if name == "encoder.embed_tokens.weight" and tensor.shape[:1] == (len(words),):
            tensors[name] = tensor[indices_of(words, dictionary).argsort()]
        if name == "encoder.embed_positions.weight" and tensor.dim() == 2:
            tensors[name] = behind_padding(tensor, dictionary.pad())
    load_weights(model, tensors, folder, f"{CONFIG} and {VOCABULARY}")
    write_lines(scratch / VOCABULARY, words)
    pieces = dictionary.symbols[dictionary.nspecial : -1]  # fairseq's task adds the last one
    write_lines(scratch / DICTIONARY, (f"{piece} 1" for piece in pieces))
    write_model(scratch, model)
