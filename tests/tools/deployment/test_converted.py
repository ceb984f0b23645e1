"""A converted model is fairseq's: each of its options is carried over, or refused."""

import pytest
import torch
from fairseq import tasks

from intra_distill.errors import UserError
from intra_distill.tools.deployment.converted import (
    ACTIVATIONS,
    QUANTIZATIONS,
    TOLERANCE,
    largest_difference,
    model_files,
    obstacle,
    refuse_difference,
    write_converted,
)

from ...support.training import LSTM, PLAIN, TINY_TRANSFORMER

ctranslate2 = pytest.importorskip("ctranslate2", reason="the optional package ctranslate2")
SWITCH = [*TINY_TRANSFORMER, "--arch", "switch_transformer", "--num-experts", "2"]
BART = [*TINY_TRANSFORMER, "--arch", "bart_base"]
ALIGN = [*TINY_TRANSFORMER, "--arch", "transformer_align"]
BEFORE = ["--encoder-normalize-before", "--decoder-normalize-before"]


@pytest.fixture
def build(configure):
    """Options of fairseq-train → the task and a model, all of whose parameters are random."""

    def build(*options: str, model=TINY_TRANSFORMER):
        cfg = configure(*PLAIN, *options, model=model)
        task = tasks.setup_task(cfg.task)
        built = task.build_model(cfg.model)
        torch.manual_seed(1)
        for parameter in built.parameters():  # also biases, which fairseq begins at zero
            parameter.data.normal_(0, 0.3)
        return built, task

    return build


@pytest.mark.parametrize(
    "options, model",
    [
        ([], TINY_TRANSFORMER),
        (BEFORE, TINY_TRANSFORMER),
        (["--encoder-learned-pos", "--decoder-learned-pos"], TINY_TRANSFORMER),
        (["--layernorm-embedding", "--no-scale-embedding"], TINY_TRANSFORMER),
        (["--share-all-embeddings"], TINY_TRANSFORMER),
        (["--share-decoder-input-output-embed", "--encoder-layers=3"], TINY_TRANSFORMER),
        (["--encoder-layers=2", "--encoder-layerdrop=0.5"], TINY_TRANSFORMER),
        (["--max-source-positions=40", "--max-target-positions=50"], TINY_TRANSFORMER),
        ([], ALIGN),
        (["--share-all-embeddings"], BART),
        *(([f"--activation-fn={name}"], TINY_TRANSFORMER) for name in ACTIVATIONS),
    ],
    ids=lambda value: " ".join(value)[-60:],
)
def test_each_option_of_a_transformer_is_carried_over(build, tmp_path, options, model):
    built, task = build(*options, model=model)
    assert not obstacle(built)
    write_converted(built, task, "float32", tmp_path)
    assert largest_difference(built, task, "float32", tmp_path) < 1e-4
    assert sorted(path.name for path in tmp_path.glob("*.*")) == sorted(model_files(task))


@pytest.mark.parametrize(
    "options, model, words",
    [
        ([], SWITCH, "a SwitchTransformerModel"),
        ([], LSTM, "a LSTMModel"),
        (["--adaptive-softmax-cutoff=5,8"], TINY_TRANSFORMER, "an adaptive softmax"),
        (["--no-token-positional-embeddings"], TINY_TRANSFORMER, "no positional embeddings"),
        (["--no-cross-attention"], TINY_TRANSFORMER, "no attention to the source"),
        (
            ["--cross-self-attention"],
            TINY_TRANSFORMER,
            "one attention to the source and the target",
        ),
        (
            ["--encoder-normalize-before"],
            TINY_TRANSFORMER,
            "normalisation before each layer on one",
        ),
        (["--decoder-attention-heads=4"], TINY_TRANSFORMER, "another number of attention heads"),
        (["--decoder-embed-dim=32"], TINY_TRANSFORMER, "another width"),
        (["--decoder-output-dim=8"], TINY_TRANSFORMER, "projections around its decoder"),
        ([*BEFORE, "--no-decoder-final-norm"], TINY_TRANSFORMER, "no final normalisation"),
        (["--quant-noise-pq=0.1"], TINY_TRANSFORMER, "a layer of quantisation noise"),
        (["--activation-fn=tanh"], TINY_TRANSFORMER, "the activation tanh"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_ctranslate2_has_no_place_for(build, options, model, words):
    assert words in obstacle(build(*options, model=model)[0])


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_every_type_of_parameters(build, tmp_path, quantization, capfd):
    model, task = build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    write_converted(model, task, quantization, tmp_path)
    difference = largest_difference(model, task, quantization, tmp_path)
    refuse_difference(difference, quantization)
    assert (difference < 1e-4) == (quantization == "float32")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not capfd.readouterr().err


def test_these_are_all_types_that_ctranslate2_has():
    assert set(QUANTIZATIONS) == set(ctranslate2.specs.model_spec.ACCEPTED_MODEL_TYPES)


@pytest.mark.parametrize("name", ["encoder.layers.0.fc1.bias", "decoder.embed_tokens.weight"])
def test_one_parameter_in_another_place_is_noticed(build, tmp_path, name):
    model, task = build()
    write_converted(model, task, "float32", tmp_path)
    model.get_parameter(name).data[-1] += 0.1
    difference = largest_difference(model, task, "float32", tmp_path)
    with pytest.raises(UserError, match="the converted model is not the same: in float32 the log"):
        refuse_difference(difference, "float32")


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_nan_is_noticed(quantization):
    assert "float32" in TOLERANCE and "int8" not in TOLERANCE
    with pytest.raises(UserError, match="up to nan from fairseq's"):
        refuse_difference(float("nan"), quantization)
