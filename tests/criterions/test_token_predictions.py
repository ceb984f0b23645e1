"""The criterion on tags and spans against a training by hand with transformers' XLM-R."""

import pytest
import torch
from fairseq.logging import metrics
from seqeval.metrics import f1_score
from torch.nn import functional
from transformers import (
    XLMRobertaConfig,
    XLMRobertaForQuestionAnswering,
    XLMRobertaForTokenClassification,
)

from ..support.hugging_face import assert_gradients, modules_of, parameters_of
from ..support.sentences import PLAIN
from ..support.tokens import SPANS, TAGS, XLMR

WITHOUT_DROPOUT = "--dropout 0 --attention-dropout 0 --classifier-dropout 0".split()
KINDS = {"words": TAGS, "questions": SPANS}
REFERENCES = {
    "words": (XLMRobertaForTokenClassification, "classifier", "tags"),
    "questions": (XLMRobertaForQuestionAnswering, "qa_outputs", "span"),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def build(trainer, token_data):
    """The kind of data, options → a trainer on it."""

    def build(kind, *options):
        return trainer(*KINDS[kind], *options, model=XLMR, data=token_data[kind])

    return build


def reference_of(kind, model, dictionary):
    """transformers' model with the same weights, and the names of its modules → ours."""
    ours = model.state_dict()
    model_of, classifier, head = REFERENCES[kind]
    outputs, d = ours[f"classification_heads.{head}.out_proj.weight"].shape
    reference = model_of(
        XLMRobertaConfig(
            vocab_size=len(dictionary),
            hidden_size=d,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=42,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            pad_token_id=dictionary.pad(),
            num_labels=outputs,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    modules = {
        **modules_of("roberta"),
        "roberta.embeddings.position_embeddings": "encoder.embed_positions",
        classifier: f"classification_heads.{head}.out_proj",
    }
    state = reference.state_dict()
    for theirs, mine in parameters_of(modules, state).items():
        state[theirs] = ours[mine]
    state["roberta.embeddings.token_type_embeddings.weight"].zero_()  # fairseq has none
    reference.load_state_dict(state)
    return reference, modules


def loss_by_hand(kind, reference, sample, dictionary) -> torch.Tensor:
    """The mean cross-entropy, as a training loop with transformers computes it."""
    tokens, target = sample["net_input"]["src_tokens"], sample["target"]
    outputs = reference.train()(input_ids=tokens, attention_mask=tokens.ne(dictionary.pad()).long())
    if kind == "words":
        labels = torch.where(target.eq(dictionary.pad()), -100, target - dictionary.nspecial)
        return functional.cross_entropy(outputs.logits.transpose(1, 2), labels)
    losses = []
    for logits, positions in zip(
        (outputs.start_logits, outputs.end_logits), target.unbind(1), strict=True
    ):
        rows = []
        for row, sentence in zip(logits, tokens, strict=True):
            ends = sentence.eq(dictionary.eos()).nonzero().flatten().tolist()
            allowed = [0, *range(ends[1] + 1, ends[2])]  # <s> and the passage
            rows.append(
                torch.full_like(row, float("-inf")).index_copy(
                    0, torch.tensor(allowed), row[allowed]
                )
            )
        losses.append(functional.cross_entropy(torch.stack(rows), positions))
    return sum(losses) / 2


def test_an_update_is_that_of_a_training_with_transformers(build, gradients, kind):
    built = build(kind, *PLAIN, *WITHOUT_DROPOUT)
    sample, dictionary = built.batches[0], built.task.source_dictionary
    reference, modules = reference_of(kind, built.model, dictionary)
    expected = loss_by_hand(kind, reference, sample, dictionary)
    expected.backward()
    loss, sample_size, log, grads = gradients(built, sample)
    assert sample_size == log["sample_size"]
    torch.testing.assert_close(loss / sample_size, expected.detach(), rtol=1e-5, atol=1e-6)
    assert_gradients(grads, sample_size, reference, modules)


def rows_by_hand(kind, logits, sample, dictionary) -> list[torch.Tensor]:
    """The scored rows of each pass, of scored positions or of allowed ones, of any length."""
    K, B = 3, len(sample["target"])
    tokens, rows = sample["net_input"]["src_tokens"], []
    for k in range(K):
        for i in range(B):
            mine = logits[k * B + i]
            if kind == "words":
                scored = sample["target"][i].ne(dictionary.pad())
                rows.append((k, mine[scored]))
                continue
            ends = tokens[i].eq(dictionary.eos()).nonzero().flatten().tolist()
            allowed = [0, *range(ends[1] + 1, ends[2])]
            rows += [(k, mine[allowed, side][None]) for side in (0, 1)]
    return [[row for pass_, row in rows if pass_ == k] for k in range(K)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_divergence_is_of_what_is_scored_alone(build, gradients, kind, reduction, monkeypatch):
    """Padding, later pieces and questions have no part in it, and no other batch mate has."""
    built = build(kind, "--alpha", "0.7", "--divergence-reduction", reduction)
    sample, dictionary = built.batches[0], built.task.source_dictionary
    seen = []
    forward = type(built.model).forward
    monkeypatch.setattr(
        type(built.model),
        "forward",
        lambda *args, **kwargs: seen.append(forward(*args, **kwargs)) or seen[-1],
    )
    loss, N, log, grads = gradients(built, sample)
    logits = seen[0][0].detach()
    passes = rows_by_hand(kind, logits, sample, dictionary)
    distance = 0.0
    for rows in zip(*passes, strict=True):
        p = torch.stack(rows).softmax(-1)  # (K, n, C)
        centre = p.mean(0)
        distance += ((p * (p / centre).log()).sum() + (centre * (centre / p).log()).sum()) / 3
    torch.testing.assert_close(log["divergence"], distance)
    assert log["divergence"] > 0 and all(grad.isfinite().all() for grad in grads.values())
    weight = 0.7 * (N if reduction == "sum" else 1)
    nll = log["nll_loss"] * torch.log(torch.tensor(2.0))
    torch.testing.assert_close(loss, nll + weight * distance)


def test_validation_has_exact_scores(build, kind):
    built = build(kind, "--required-batch-size-multiple", "1", "--max-tokens", "90")
    built.task.load_dataset("valid")
    built.model.eval()
    for head in built.model.classification_heads.values():
        head.out_proj.weight.data.normal_()  # so that it predicts everything now and then
    predicted, gold = [], []
    with metrics.aggregate(new_root=True) as meters:
        logs = []
        for sample in built.get_valid_iterator("valid").next_epoch_itr(shuffle=False):
            with torch.no_grad():
                _, _, log = built.task.valid_step(sample, built.model, built.criterion)
                logits = built.task.predict(built.model, sample)
            predictions = logits.argmax(-1 if kind == "words" else -2)
            logs.append(log)
            if kind == "questions":
                predicted += predictions.flatten().tolist()
                gold += sample["target"].flatten().tolist()
                continue
            for row, target in zip(predictions, sample["target"], strict=True):
                scored = target.ne(1)
                tags = built.task.tags
                predicted.append([tags[i] for i in row[scored].tolist()])
                gold.append([tags[i - 4] for i in target[scored].tolist()])
        assert len(logs) > 1
        built.criterion.reduce_metrics(logs)
        values = meters.get_smoothed_values()
    if kind == "words":
        assert 0 < values["entity_f1"] == pytest.approx(100 * f1_score(gold, predicted))
    else:
        right = sum(x == y for x, y in zip(predicted, gold, strict=True))
        assert values["accuracy"] == pytest.approx(100 * right / len(gold))
    assert "divergence" not in values
