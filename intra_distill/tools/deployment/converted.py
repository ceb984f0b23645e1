"""fairseq's transformer → the model of CTranslate2, a translator in C++ for CPUs and GPUs.

CTranslate2's own ``ct2-fairseq-converter`` reads a checkpoint by itself, and only one of
``fairseq-train``. Here fairseq builds the model, of a checkpoint that this package has checked, and
of the converter only the functions that copy its parameters are used. Whether all have found their
place is tested by numbers, in :func:`largest_difference`.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from fairseq.data import Dictionary, LanguagePairDataset
from fairseq.models.bart import BARTModel
from fairseq.models.transformer import TransformerModel
from fairseq.models.transformer_align import TransformerAlignModel
from fairseq.tasks.translation import TranslationTask
from torch import nn

from ...errors import UserError

try:
    import ctranslate2
    from ctranslate2.converters import fairseq as converter
    from ctranslate2.specs import Activation, TransformerSpec
except ImportError:  # an optional package
    ctranslate2 = None

MODELS = (TransformerModel, TransformerAlignModel, BARTModel)
QUANTIZATIONS = (
    *("float32", "float16", "bfloat16", "int16"),
    *("int8", "int8_float32", "int8_float16", "int8_bfloat16"),
)
ACTIVATIONS = {  # fairseq's name → CTranslate2's
    "relu": "RELU",
    "gelu": "GELU",
    "gelu_accurate": "GELUTanh",
    "gelu_fast": "GELUTanh",
}
SHARED, SOURCE, TARGET = (f"{name}_vocabulary.json" for name in ("shared", "source", "target"))
PAIRS, LONGEST = 16, 30  # what is scored to compare the models: pairs, and tokens of the longest
# the largest difference of a token's log probability, in nats, that rounding explains
TOLERANCE = {"float32": 1e-3}
TOLERANCE_OF_ROUNDED = 1.0


def refuse_without_ctranslate2() -> None:
    """Raise UserError if the package is not installed."""
    if ctranslate2 is None:
        raise UserError(
            "an export needs the package ctranslate2: pip install 'intra_distill[export]'"
        )


def model_files(task: TranslationTask) -> tuple[str, ...]:
    """The files of a converted model. The largest is last: without it none of them loads."""
    shared = task.source_dictionary == task.target_dictionary
    return (*([SHARED] if shared else [SOURCE, TARGET]), "config.json", "model.bin")


def obstacle(model: nn.Module) -> str:
    """What CTranslate2 has no place for in a model, in words; empty if there is nothing."""
    if type(model) not in MODELS:
        return f"a {type(model).__name__}"
    cfg, decoder = model.cfg, model.decoder
    obstacles = {
        "an adaptive softmax": decoder.adaptive_softmax is not None,
        "no positional embeddings": None
        in (model.encoder.embed_positions, decoder.embed_positions),
        "no attention to the source in its decoder": cfg.no_cross_attention,
        "one attention to the source and the target in its decoder": cfg.cross_self_attention,
        "normalisation before each layer on one side alone": (
            cfg.encoder.normalize_before != cfg.decoder.normalize_before
        ),
        "another number of attention heads in its decoder than in its encoder": (
            cfg.encoder.attention_heads != cfg.decoder.attention_heads
        ),
        "another width in its decoder than in its encoder": (
            cfg.encoder.embed_dim != cfg.decoder.embed_dim
        ),
        "projections around its decoder": (
            decoder.project_in_dim is not None or decoder.project_out_dim is not None
        ),
        "no final normalisation in its decoder": (
            cfg.decoder.normalize_before and decoder.layer_norm is None
        ),
        "a layer of quantisation noise after its embeddings": (
            model.encoder.quant_noise is not None or decoder.quant_noise is not None
        ),
        f"the activation {cfg.activation_fn}": cfg.activation_fn not in ACTIVATIONS,
    }
    return next((f"a model with {words}" for words, is_there in obstacles.items() if is_there), "")


def write_converted(
    model: TransformerModel, task: TranslationTask, quantization: str, folder: Path
) -> None:
    """Write the files :func:`model_files` of a model that has no :func:`obstacle`."""
    # a copy, since CTranslate2 shares the memory of the parameters and rounds them in place
    spec = converted(copy.deepcopy(model).eval(), task)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))


@torch.no_grad()
def converted(model: TransformerModel, task: TranslationTask) -> Any:
    """CTranslate2's specification of a model: its parameters, its vocabularies, how it searches."""
    cfg = model.cfg
    spec = TransformerSpec.from_config(
        (len(model.encoder.layers), len(model.decoder.layers)),
        cfg.encoder.attention_heads,
        pre_norm=cfg.encoder.normalize_before,
        activation=getattr(Activation, ACTIVATIONS[cfg.activation_fn]),
        layernorm_embedding=cfg.layernorm_embedding,
    )
    converter.set_transformer_encoder(spec.encoder, model.encoder)
    converter.set_transformer_decoder(spec.decoder, model.decoder)
    spec.register_source_vocabulary(task.source_dictionary.symbols)
    spec.register_target_vocabulary(task.target_dictionary.symbols)
    # fairseq ends a source by </s>, and starts a translation from it
    spec.config.add_source_eos = True
    spec.config.decoder_start_token = spec.config.eos_token
    return spec


# The comparison with fairseq's model


def largest_difference(
    model: nn.Module, task: TranslationTask, quantization: str, folder: Path
) -> float:
    """How far the log probabilities of tokens are apart in a model and in its converted one.

    Both score the same pairs of random pieces, so that no data is needed.

    Returns:
        the largest difference, in nats; NaN if one is
    """
    pairs = random_pairs(task)
    ours = fairseq_scores(model.eval(), task, pairs)
    theirs = converted_scores(folder, quantization, task, pairs)
    return (ours - theirs).abs().max().item()


def refuse_difference(difference: float, quantization: str) -> None:
    """Raise UserError for a :func:`largest_difference` that rounding does not explain."""
    limit = TOLERANCE.get(quantization, TOLERANCE_OF_ROUNDED)
    if not difference <= limit:
        raise UserError(
            f"the converted model is not the same: in {quantization} the log probabilities of "
            f"tokens are up to {difference:.2g} from fairseq's, where {limit:g} would be rounding"
        )


Pairs = list[tuple[torch.Tensor, torch.Tensor]]  # indices of a source and a target, with </s>


def random_pairs(task: TranslationTask) -> Pairs:
    """Pairs of random pieces, of 1 up to :data:`LONGEST` tokens."""
    random = torch.Generator().manual_seed(1)

    def sentence(dictionary: Dictionary) -> torch.Tensor:
        length = int(torch.randint(LONGEST, (), generator=random))
        first = min(dictionary.nspecial, len(dictionary) - 1)
        tokens = torch.randint(first, len(dictionary), (length,), generator=random)
        return torch.cat([tokens, torch.tensor([dictionary.eos()])])

    return [
        (sentence(task.source_dictionary), sentence(task.target_dictionary)) for _ in range(PAIRS)
    ]


@torch.no_grad()
def fairseq_scores(model: nn.Module, task: TranslationTask, pairs: Pairs) -> torch.Tensor:
    """The log probabilities of all target tokens, pair after pair."""
    sources, targets = zip(*pairs, strict=True)
    dataset = LanguagePairDataset(
        *(sources, list(map(len, sources)), task.source_dictionary),
        *(targets, list(map(len, targets)), task.target_dictionary),
        shuffle=False,
    )
    scores = []
    for index in range(len(dataset)):
        sample = dataset.collater([dataset[index]])
        output = model(**sample["net_input"])
        log_probs = model.get_normalized_probs(output, log_probs=True)
        scores.append(log_probs.gather(-1, sample["target"].unsqueeze(-1)).flatten())
    return torch.cat(scores)


def converted_scores(
    folder: Path, quantization: str, task: TranslationTask, pairs: Pairs
) -> torch.Tensor:
    """As :func:`fairseq_scores`, by the converted model, on the CPU."""
    supported = ctranslate2.get_supported_compute_types("cpu")
    near = "int8" if quantization.startswith("int8") else "float32"  # what every CPU has
    translator = ctranslate2.Translator(
        str(folder),
        compute_type=quantization if quantization in supported else near,
        intra_threads=1,
    )
    symbols = task.source_dictionary.symbols, task.target_dictionary.symbols
    sources, targets = (
        [[names[token] for token in pair[side][:-1]] for pair in pairs]
        for side, names in enumerate(symbols)
    )
    results = translator.score_batch(sources, targets)
    return torch.tensor([score for result in results for score in result.log_probs])
