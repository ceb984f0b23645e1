"""The criterion of predictions against a training by hand with transformers' BERT."""

import pytest
import torch
from fairseq.logging import metrics
from fairseq.modules import FairseqDropout
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from transformers import BertConfig, BertForSequenceClassification

from intra_distill.core.divergence import OF_DISTRIBUTIONS

from ..support.hugging_face import assert_gradients, modules_of, parameters_of
from ..support.sentences import BERT, CLASSES, NUMBERS, PLAIN, SIZES

WITHOUT_DROPOUT = "--dropout 0 --attention-dropout 0 --classifier-dropout 0".split()
KINDS = {"classes": CLASSES, "numbers": NUMBERS}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def build(trainer, sentences):
    """The kind of labels, options → a trainer on made-up sentences."""

    def build(kind, *options):
        # later options replace earlier ones
        return trainer(*KINDS[kind], *options, model=BERT, data=sentences[kind])

    return build


def reference_of(model, dictionary) -> BertForSequenceClassification:
    """transformers' model with the same weights: fairseq's dictionary is its vocabulary."""
    ours = model.state_dict()
    classes, d = ours["classification_heads.sentence_classification_head.out_proj.weight"].shape
    reference = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(dictionary),
            hidden_size=d,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=32,
            pad_token_id=dictionary.pad(),
            num_labels=classes,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    modules = {
        **modules_of("bert"),
        "bert.embeddings.token_type_embeddings": "encoder.embed_segments",
        "bert.pooler.dense": "encoder.pooler",
        "classifier": "classification_heads.sentence_classification_head.out_proj",
    }
    state = reference.state_dict()
    for theirs, mine in parameters_of(modules, state).items():
        state[theirs] = ours[mine]
    positions = ours["encoder.embed_positions.weight"][dictionary.pad() + 1 :]
    state["bert.embeddings.position_embeddings.weight"] = positions
    reference.load_state_dict(state)
    return reference, modules


def test_an_update_is_that_of_a_training_with_transformers(build, gradients, kind):
    built = build(kind, *PLAIN, *WITHOUT_DROPOUT)
    sample, dictionary = built.batches[0], built.task.source_dictionary
    reference, modules = reference_of(built.model, dictionary)
    tokens = sample["net_input"]["src_tokens"]
    ends = tokens.eq(dictionary.eos()).long()
    mask = tokens.ne(dictionary.pad())
    logits = reference.train()(
        input_ids=tokens,
        attention_mask=mask.long(),
        token_type_ids=(ends.cumsum(1) - ends).clamp(max=1) * mask,
    ).logits
    target = sample["target"].view(-1)
    if kind == "classes":
        expected = torch.nn.functional.cross_entropy(logits, target)
    else:
        expected = torch.nn.functional.mse_loss(logits.squeeze(-1), target.float())
    expected.backward()

    loss, sample_size, log, grads = gradients(built, sample)
    assert sample_size == len(target) == log["sample_size"]
    torch.testing.assert_close(loss / sample_size, expected.detach(), rtol=1e-5, atol=1e-6)
    assert_gradients(grads, sample_size, reference, modules)


class InjectedMask(torch.nn.Module):
    """Dropout whose mask is known by site, copy and width, in place of a random one."""

    def __init__(self, site: int, batch_dim: int) -> None:
        super().__init__()
        self.site, self.batch_dim, self.copies = site, batch_dim, [0]

    def forward(self, x):
        masks = []
        for copy in self.copies:
            random = torch.Generator().manual_seed(1000 * self.site + copy)
            masks.append(torch.bernoulli(torch.full(x.shape[-1:], 0.7), generator=random))
        parts = x.chunk(len(masks), dim=self.batch_dim)
        return torch.cat([part * mask for part, mask in zip(parts, masks)], dim=self.batch_dim)


def inject_masks(model) -> list[InjectedMask]:
    """Replace all dropout but that inside the attention, which is 0 in these tests."""
    sites = []
    for name, module in list(model.named_modules()):
        parent, _, attribute = name.rpartition(".")
        if not isinstance(module, (FairseqDropout, torch.nn.Dropout)) or parent.endswith("attn"):
            continue
        batch_dim = 1 if ".layers." in name else 0
        sites.append(InjectedMask(len(sites), batch_dim))
        setattr(model.get_submodule(parent), attribute, sites[-1])
    assert len(sites) >= 3
    return sites


def defined(divergence: str, p: torch.Tensor) -> torch.Tensor:
    """A divergence of the distributions p_i, (K, N, C), summed over the rows."""
    if divergence == "kl":
        return (p[0] * (p[0] / p[1:]).log()).sum() / (len(p) - 1)
    centre = p.mean(0)
    distance = (p * (p / centre).log()).sum() / len(p)
    return distance + ((centre * (centre / p).log()).sum() / len(p) if divergence == "x" else 0)


@pytest.mark.parametrize("reduction, supervised", [("mean", 3), ("sum", 2)])
@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
def test_k_passes_side_by_side_are_k_passes_one_by_one(
    build, gradients, kind, reduction, supervised, divergence
):
    options = [] if kind == "numbers" else ["--divergence", divergence]
    options += ["--supervised-passes", str(supervised)]
    built = build(
        kind,
        *["--alpha", "0.7", "--num-passes", "3", "--divergence-reduction", reduction],
        *["--attention-dropout", "0", *options],
    )
    sites = inject_masks(built.model)
    sample = built.batches[0]
    for site in sites:
        site.copies = [0, 1, 2]
    loss, N, log, grads = gradients(built, sample)

    built.zero_grad()
    outputs = []
    for i in range(3):
        for site in sites:
            site.copies = [i]
        outputs.append(built.task.rows(built.model, sample))
    target = outputs[0][1]
    logits = torch.stack([rows for rows, _ in outputs])
    if kind == "numbers":
        first = (logits - target)[:supervised].square().sum(1).mean()
        distance = (logits - logits.mean(0)).square().sum(1).mean()
    else:
        errors = [torch.nn.functional.cross_entropy(each, target) for each in logits[:supervised]]
        first = sum(errors) * N / supervised
        distance = defined(divergence, logits.softmax(-1))
    weight = 0.7 * (N if reduction == "sum" else 1)
    (first + weight * distance).backward()
    torch.testing.assert_close(loss, (first + weight * distance).detach())
    torch.testing.assert_close(log["divergence"], distance.detach())
    assert log["divergence"] > 0
    for name, parameter in built.model.named_parameters():
        torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-4, atol=1e-5)


def test_without_a_divergence_k_passes_are_plain_training(build, gradients, kind):
    one = build(kind, *PLAIN, *WITHOUT_DROPOUT)
    three = build(kind, "--alpha", "0", *WITHOUT_DROPOUT, "--classifier-dropout", "1e-12")
    three.model.load_state_dict(one.model.state_dict())
    loss, _, log, grads = gradients(one, one.batches[0])
    loss_of_three, _, log_of_three, grads_of_three = gradients(three, three.batches[0])
    torch.testing.assert_close(loss, loss_of_three)
    torch.testing.assert_close(grads, grads_of_three, rtol=1e-4, atol=1e-5)
    # each of the passes predicts
    sums = [key for key in log if key.startswith("sum/")]
    assert {key: 3 * float(log[key]) for key in sums} == pytest.approx(
        {key: float(log_of_three[key]) for key in sums}
    )


def test_validation_has_exact_scores_and_no_divergence(build, kind):
    built = build(kind, "--required-batch-size-multiple", "1", "--max-tokens", "40")
    built.task.load_dataset("valid")
    predicted, gold = [], []
    with metrics.aggregate(new_root=True) as valid:
        for batch in built.get_valid_iterator("valid").next_epoch_itr(shuffle=False):
            assert "divergence" not in built.valid_step(batch)
            with torch.no_grad():
                rows, target = built.task.rows(built.model.eval(), batch)
            predicted += (rows.argmax(-1) if kind == "classes" else rows).tolist()
            gold += target.tolist()
    logged = valid.get_smoothed_values()
    assert len(gold) == SIZES["valid"]
    if kind == "classes":
        assert logged["accuracy"] == pytest.approx(100 * accuracy_score(gold, predicted))
        assert logged["f1"] == pytest.approx(100 * f1_score(gold, predicted))
        assert logged["mcc"] == pytest.approx(100 * matthews_corrcoef(gold, predicted))
    else:
        assert logged["pearson"] == pytest.approx(100 * pearsonr(gold, predicted).statistic)
    assert not [name for name in logged if name.startswith("_")]


def test_half_precision_has_the_loss_of_float32(build, gradients, kind):
    options = [kind, "--dropout", "1e-12", "--attention-dropout", "0", "--classifier-dropout", "0"]
    losses = []
    for convert in (torch.nn.Module.float, torch.nn.Module.half):
        built = build(*options)
        convert(built.model)
        loss, *_, grads = gradients(built, built.batches[0])
        assert loss.dtype == torch.float32
        assert all(grad.isfinite().all() for grad in grads.values())
        losses.append(loss)
    torch.testing.assert_close(*losses, rtol=1e-2, atol=0)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("classes", ["--divergence", "mse"], "--divergence must be x or js or kl, not 'mse'"),
        ("numbers", ["--divergence", "x"], "--divergence must be mse, not 'x'"),
        ("classes", ["--divergence-reduction", "max"], "--divergence-reduction must be mean or"),
        ("classes", ["--num-passes", "1", "--alpha", "1"], "leaves --alpha 1.0 nothing to compare"),
        ("classes", WITHOUT_DROPOUT, "the model has no dropout"),
        ("classes", ["--alpha", "nan"], "alpha must be finite"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_options_are_refused(build, kind, options, said):
    with pytest.raises(SystemExit, match=said):
        build(kind, *options)


def test_a_task_that_scores_no_rows_is_refused(trainer):
    with pytest.raises(SystemExit, match="needs a task that says what is scored"):
        trainer(*CLASSES[2:4], "--task", "translation_intra_distillation")
