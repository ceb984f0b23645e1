"""BERT of fairseq's layers against transformers' BertModel, and its heads."""

import os
from types import SimpleNamespace

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from transformers import BertConfig as ReferenceConfig
from transformers import BertModel as ReferenceModel
from transformers import BertTokenizer

from intra_distill.checkpoints import read_checkpoint
from intra_distill.core.dropout import dropout_sites
from intra_distill.models.bert import BertConfig, BertModel
from intra_distill.tools.config import load_config
from intra_distill.tools.preparation.bert import make_bert
from intra_distill.tools.preparation.wordpiece import WordPieceEncoder, read_vocabulary

from ..support.bert import PIECES, SIZES, hugging_face_tensors, make_tiny_bert


class Task:
    """As much of a task as the model asks for."""

    def __init__(self, path=None):
        self.source_dictionary = Dictionary() if path is None else Dictionary.load(str(path))
        self.source_dictionary.add_symbol("<mask>")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The directory of a converted BERT, and transformers' model of the same weights."""
    reference = ReferenceModel(ReferenceConfig(**SIZES)).eval()
    reference.load_state_dict(hugging_face_tensors())
    return make_tiny_bert(tmp_path_factory.mktemp("bert")), reference


@pytest.fixture
def model(converted):
    path, reference = converted
    task = Task(path / "dict.txt")
    state = checkpoint_utils.load_checkpoint_to_cpu(str(path / "model.pt"))
    model = BertModel.build_model(BertConfig(**sizes(state["cfg"].model)), task)
    model.load_state_dict(state["model"])
    return model.eval(), task.source_dictionary, reference


def sizes(cfg):
    return {key: value for key, value in cfg.items() if key != "_name"}


def batch(dictionary, pairs):
    """Pairs of word pieces → src_tokens of fairseq's; ids, segments and mask of transformers'."""
    special = {"[CLS]": "<s>", "[SEP]": "</s>", "[PAD]": "<pad>"}
    lines = [["[CLS]", *a, "[SEP]", *([*b, "[SEP]"] if b is not None else [])] for a, b in pairs]
    lengths = [len(line) for line in lines]
    longest = max(lengths)
    segments = [[0] * (len(a) + 2) + [1] * (longest - len(a) - 2) for a, _ in pairs]
    lines = [line + ["[PAD]"] * (longest - len(line)) for line in lines]
    src_tokens = [[dictionary.index(special.get(p, p)) for p in line] for line in lines]
    mask = torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)
    return (
        torch.tensor(src_tokens),
        {
            "input_ids": torch.tensor([[PIECES.index(piece) for piece in line] for line in lines]),
            "token_type_ids": torch.tensor(segments) * mask,
            "attention_mask": mask.long(),
        },
        mask,
    )


PAIRS = [
    ("the house of water".split(), "the road and water".split()),
    ("the red tree".split(), None),
    (["cafe", "##ing"], []),
    ("the bird the sea the night".split(), ["ein"]),
]


def test_it_computes_what_berts_own_model_computes(model):
    ours, dictionary, reference = model
    src_tokens, inputs, mask = batch(dictionary, PAIRS)
    with torch.no_grad():
        features, _ = ours(src_tokens)
        expected = reference(**inputs)
        pooled = torch.tanh(ours.encoder.pooler(features[:, 0]))
    torch.testing.assert_close(features[mask], expected.last_hidden_state[mask], rtol=0, atol=1e-5)
    torch.testing.assert_close(pooled, expected.pooler_output, rtol=0, atol=1e-5)


@pytest.mark.parametrize("change", ["eps", "segments"])
def test_the_comparison_sees_what_roberta_has_otherwise(model, change):
    ours, dictionary, reference = model
    src_tokens, inputs, mask = batch(dictionary, PAIRS)
    if change == "segments":
        ours.encoder.embed_segments.weight.data[1] = ours.encoder.embed_segments.weight[0]
    for module in ours.modules():
        if change == "eps" and isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-3
    with torch.no_grad():
        difference = ours(src_tokens)[0][mask] - reference(**inputs).last_hidden_state[mask]
    assert difference.abs().max() > 1e-4


@pytest.mark.skipif("BERT" not in os.environ, reason="set BERT to a folder of Hugging Face's files")
def test_a_published_model_computes_the_same(tmp_path):
    """Real weights, and real word pieces on both sides."""
    folder = os.environ["BERT"]
    make_bert(tmp_path / "bert", folder, tmp_path)
    cfg = load_config(tmp_path / "bert" / "model.yaml")
    sizes = {key: value for key, value in cfg["model"].items() if key != "_name"}
    vocabulary = read_vocabulary(tmp_path / "bert")
    task = SimpleNamespace(source_dictionary=vocabulary.dictionary)
    ours = BertModel.build_model(BertConfig(**sizes, **cfg["task"]), task).eval()
    ours.load_state_dict(read_checkpoint(tmp_path / "bert" / "model.pt")["model"])
    reference = ReferenceModel.from_pretrained(folder).eval()
    pairs = [("A plane is taking off.", "An air plane is taking off."), ("Naïve cafés?", "No.")]
    encoded = list(WordPieceEncoder(vocabulary, 128).encode(pairs))
    lines = [[0, *pair.first.tolist(), *pair.second.tolist()] for pair in encoded]
    inputs = BertTokenizer.from_pretrained(folder)(
        *map(list, zip(*pairs)), padding=True, return_tensors="pt"
    )
    mask = inputs["attention_mask"].bool()
    padding = vocabulary.dictionary.pad()
    longest = mask.size(1)
    src_tokens = torch.tensor([line + [padding] * (longest - len(line)) for line in lines])
    with torch.no_grad():
        features, _ = ours(src_tokens)
        expected = reference(**inputs).last_hidden_state
    torch.testing.assert_close(features[mask], expected[mask], rtol=0, atol=1e-5)


def test_a_head_is_dropout_and_a_linear_layer_on_the_pooled_output(model):
    ours, dictionary, reference = model
    src_tokens, inputs, _ = batch(dictionary, PAIRS)
    ours.register_classification_head("head", 3)
    ours.eval()
    with torch.no_grad():
        logits, _ = ours(src_tokens, classification_head_name="head")
        projection = ours.classification_heads["head"].out_proj
        expected = projection(reference(**inputs).pooler_output)
    assert logits.shape == (len(PAIRS), 3)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
    assert projection.bias.eq(0).all() and 0.005 < projection.weight.std() < 0.04


def test_dropout_is_where_bert_has_it(model):
    ours, *_ = model
    ours.register_classification_head("head", 2)
    # after the embeddings; in each layer of attention weights and after both sublayers; in the head
    assert len(list(dropout_sites(ours))) == 1 + 2 * 2 + 1
    assert ours.classification_heads["head"].dropout.p == 0.1


def test_a_state_without_the_head_gets_a_new_one_and_loses_others(model):
    ours, *_ = model
    state = ours.state_dict()
    ours.register_classification_head("head", 2)
    state["classification_heads.other.out_proj.weight"] = torch.zeros(3, 32)
    ours.load_state_dict(state)
    assert "classification_heads.other.out_proj.weight" not in state


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("encoder.pooler.weight"), "not of --arch bert: it has no encoder"),
        (
            lambda state: state.update({"encoder.pooler.weight": torch.zeros(3, 3)}),
            r"encoder.pooler.weight is \[3, 3\], the model's \[32, 32\]: give --arch bert its",
        ),
        (
            lambda state: state.update(
                {"classification_heads.head.out_proj.weight": torch.zeros(3, 32)}
            ),
            "head has 3 classes, not 2: it is of another task",
        ),
    ],
    ids=["no pooler", "another width", "another number of classes"],
)
def test_a_state_that_does_not_fit_is_refused(model, change, said):
    ours, *_ = model
    ours.register_classification_head("head", 2)
    state = ours.state_dict()
    change(state)
    with pytest.raises(SystemExit, match=said):
        ours.load_state_dict(state)


def test_heads_must_divide_the_width():
    cfg = BertConfig(encoder_embed_dim=10, encoder_attention_heads=3, max_positions=8)
    with pytest.raises(SystemExit, match="--encoder-attention-heads 3 must divide"):
        BertModel.build_model(cfg, Task())
