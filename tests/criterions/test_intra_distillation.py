import copy

import pytest
import torch
from fairseq.modules import FairseqDropout

from intra_distill.core.cpu_dropout import draw_integers
from intra_distill.core.divergence import OF_DISTRIBUTIONS

from ..support.training import INTRA, LSTM, PLAIN, SMOOTHED, TINY_TRANSFORMER

K3_CONSTANT = [*INTRA, "--alpha", "2", "--constant-alpha"]
SHARING = [[], ["--share-decoder-input-output-embed"], ["--share-all-embeddings"]]


def assert_same_gradients(ours, theirs, factor=1.0):
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, factor * theirs[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("implementation", ["plain", "fused"])
def test_one_pass_without_divergence_is_fairseqs_criterion(trainer, gradients, implementation):
    options = ["--num-passes", "1", "--alpha", "0", "--loss-implementation", implementation]
    ours = trainer(*INTRA, *options)
    theirs = trainer(*PLAIN)
    theirs.model.load_state_dict(ours.model.state_dict())
    for sample in ours.batches[:3]:
        loss, size, log, grads = gradients(ours, sample)
        their_loss, their_size, their_log, their_grads = gradients(theirs, sample)
        torch.testing.assert_close(loss, their_loss)
        assert size == their_size and log.keys() == their_log.keys()
        torch.testing.assert_close(log["nll_loss"], their_log["nll_loss"])
        assert_same_gradients(grads, their_grads)


@pytest.mark.parametrize("implementation", ["plain", "fused"])
@pytest.mark.parametrize("sharing", SHARING)
def test_two_passes_with_x_are_half_of_fairseqs_r_drop(trainer, gradients, implementation, sharing):
    alpha = 3.0
    ours = trainer(
        *[*INTRA, "--num-passes", "2", "--alpha", str(alpha), "--constant-alpha"],
        *["--loss-implementation", implementation, *sharing],
    )
    r_drop = trainer(
        *["--task", "translation", "--criterion", "label_smoothed_cross_entropy_with_rdrop"],
        *["--rdrop-alpha", str(alpha), *SMOOTHED, *sharing],
    )
    r_drop.model.load_state_dict(ours.model.state_dict())
    draw_integers(r_drop.model, FairseqDropout)  # the same masks
    for sample in ours.batches[:3]:
        loss, _, log, grads = gradients(ours, sample)
        # fairseq's criterion changes its batch
        r_drop_loss, _, r_drop_log, r_drop_grads = gradients(r_drop, copy.deepcopy(sample))
        torch.testing.assert_close(loss, r_drop_loss / 2, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(log["nll_loss"], r_drop_log["nll_loss"] / 2)
        assert float(log["divergence"]) == pytest.approx(r_drop_log["rdrop_kl_loss"] / 2, rel=1e-3)
        assert_same_gradients(grads, r_drop_grads, factor=0.5)


@pytest.mark.parametrize("divergence", OF_DISTRIBUTIONS)
@pytest.mark.parametrize(
    "options",
    [*SHARING, ["--ignore-prefix-size", "2"], ["--sentence-avg"], ["--supervised-passes", "2"]],
)
def test_the_fused_loss_is_the_plain_one(trainer, gradients, divergence, options):
    fused, plain = (
        trainer(*K3_CONSTANT, "--divergence", divergence, "--loss-implementation", name, *options)
        for name in ("fused", "plain")
    )
    plain.model.load_state_dict(fused.model.state_dict())
    for sample in fused.batches[:3]:
        loss, size, log, grads = gradients(fused, sample)
        plain_loss, plain_size, plain_log, plain_grads = gradients(plain, sample)
        torch.testing.assert_close(loss, plain_loss)
        assert size == plain_size
        for key in log:
            torch.testing.assert_close(torch.tensor(log[key]), torch.tensor(plain_log[key]))
        assert_same_gradients(grads, plain_grads)


def test_the_fused_loss_is_the_plain_one_in_bf16(trainer, gradients):
    """As fairseq trains it: model and criterion in bf16 (its --bf16 itself wants a GPU)."""
    fused, plain = (
        trainer(*K3_CONSTANT, "--loss-implementation", name) for name in ("fused", "plain")
    )
    plain.model.load_state_dict(fused.model.state_dict())
    for built in (fused, plain):
        built.model.bfloat16()
    sample = fused.batches[0]
    loss, _, log, grads = gradients(fused, sample)
    plain_loss, _, plain_log, plain_grads = gradients(plain, sample)
    torch.testing.assert_close(loss.float(), plain_loss.float(), rtol=1e-3, atol=0)
    torch.testing.assert_close(log["divergence"], plain_log["divergence"], rtol=0.02, atol=0)
    for name, gradient in grads.items():
        assert gradient.dtype == torch.bfloat16
        scale = plain_grads[name].abs().max().item()
        torch.testing.assert_close(gradient, plain_grads[name], rtol=0, atol=0.05 * scale + 1e-3)


def test_the_fused_loss_is_taken_where_it_can_be(trainer, gradients, caplog):
    caplog.set_level("INFO")
    for options, fused, named in [
        ([], True, None),
        (["--report-accuracy"], False, "--report-accuracy"),
    ]:
        built = trainer(*K3_CONSTANT, *options)
        gradients(built, built.batches[0])
        gradients(built, built.batches[1])
        assert built.criterion._fused is fused
        told = [m for m in caplog.messages if "plain loss" in m]
        assert len(told) == (not fused) and all(named in message for message in told)


def test_padding_contributes_nothing(trainer, gradients):
    """A batch with more padding columns has the same loss, sums and gradients."""
    built = trainer(*K3_CONSTANT)
    inject_masks(built.model)
    sample = next(b for b in built.batches if b["target"].size(0) not in (0, 1))
    pad = built.task.target_dictionary.pad()
    wider = copy.deepcopy(sample)
    columns = torch.full((sample["target"].size(0), 3), pad)
    wider["target"] = torch.cat([sample["target"], columns], dim=1)
    for key in ("prev_output_tokens", "src_tokens"):
        sides = [sample["net_input"][key], columns]
        wider["net_input"][key] = torch.cat(sides if key[0] == "p" else sides[::-1], dim=1)
    loss, _, log, grads = gradients(built, sample)
    wider_loss, _, wider_log, wider_grads = gradients(built, wider)
    torch.testing.assert_close(loss, wider_loss)
    torch.testing.assert_close(log["divergence"], wider_log["divergence"])
    assert_same_gradients(grads, wider_grads)


class InjectedDropout(torch.nn.Module):
    """A dropout mask over the features, known by site and copy, in place of a random one."""

    def __init__(self, site: int) -> None:
        super().__init__()
        self.site, self.p = site, 0.5
        self.copies: list[int] = []

    def forward(self, x, inplace=False):
        if not self.training:
            return x
        masks = [self.mask(copy, x.size(-1)) for copy in self.copies]
        # the batch is the second dimension inside the layers, the first at the embeddings
        batch_dim = 0 if self.at_embedding else 1
        parts = x.chunk(len(masks), dim=batch_dim)
        return torch.cat([part * mask for part, mask in zip(parts, masks)], dim=batch_dim)

    def mask(self, copy: int, width: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1000 * self.site + copy)
        return torch.bernoulli(torch.full((width,), 0.5), generator=generator) / 0.5


def inject_masks(model, copies=(0, 1, 2)) -> list[InjectedDropout]:
    names = [n for n, m in model.named_modules() if isinstance(m, FairseqDropout)]
    injected = []
    for site, name in enumerate(names):
        parent, _, attribute = name.rpartition(".")
        if parent.endswith("attn"):
            continue  # lives inside torch's attention, and is 0 in these tests
        dropout = InjectedDropout(site)
        dropout.at_embedding = parent in ("encoder", "decoder")
        dropout.copies = list(copies)
        setattr(model.get_submodule(parent), attribute, dropout)
        injected.append(dropout)
    assert len(injected) >= 4
    return injected


@pytest.mark.parametrize("implementation", ["plain", "fused"])
def test_one_replicated_batch_is_k_passes_one_by_one(trainer, gradients, implementation):
    built = trainer(*K3_CONSTANT, "--loss-implementation", implementation)
    sites = inject_masks(built.model)
    sample = built.batches[0]
    loss, _, log, grads = gradients(built, sample)

    built.zero_grad()
    lprobs = []
    for i in range(3):
        for site in sites:
            site.copies = [i]
        net_output = built.model(**sample["net_input"])
        lprobs.append(built.model.get_normalized_probs(net_output, log_probs=True))
    scored = sample["target"].ne(built.criterion.padding_idx)
    a = torch.stack(lprobs)[:, scored]  # (K, N, V)
    target = sample["target"][scored]
    V, eps = a.size(-1), 0.1
    gold = torch.nn.functional.one_hot(target, V).bool()
    q = torch.where(gold, 1 - eps, eps / (V - 1))
    p, centre = a.exp(), a.exp().mean(0)
    cross_entropy = -(q * a).sum() / 3
    divergence = ((p - centre) * (a - centre.log())).sum() / 3  # equation (8)
    (cross_entropy + 2 * divergence).backward()

    torch.testing.assert_close(loss, (cross_entropy + 2 * divergence).detach())
    torch.testing.assert_close(log["divergence"], divergence.detach())
    assert_same_gradients(grads, {n: p.grad for n, p in built.model.named_parameters()})


@pytest.mark.parametrize("model", [TINY_TRANSFORMER, LSTM], ids=["transformer", "lstm"])
def test_the_masks_of_the_copies_differ(trainer, gradients, model):
    built = trainer(*K3_CONSTANT, "--dropout", "0.3", model=model)
    outputs = []
    built.model.decoder.register_forward_hook(lambda *args: outputs.append(args[-1][0]))
    gradients(built, built.batches[0])
    first, second, third = outputs[0].chunk(3)
    assert not torch.allclose(first, second)
    assert not torch.allclose(second, third)


OTHER_MODELS = {
    "lstm, which wants its batch sorted": LSTM,
    "fconv": (
        "--arch fconv --encoder-embed-dim 16 --decoder-embed-dim 16 --decoder-out-embed-dim 16 "
        "--encoder-layers [(16,3)] --decoder-layers [(16,3)] --decoder-attention True"
    ).split(),
    "lightconv": [
        *["--arch", "lightconv", *TINY_TRANSFORMER[2:]],
        *["--encoder-conv-dim", "16", "--decoder-conv-dim", "16"],
        *["--encoder-kernel-size-list", "[3]", "--decoder-kernel-size-list", "[3]"],
    ],
    "transformer_align": ["--arch", "transformer_align", *TINY_TRANSFORMER[2:]],
    "transformer with LayerDrop": [*TINY_TRANSFORMER, "--encoder-layerdrop", "0.5"],
    "transformer, normalised before": [*TINY_TRANSFORMER, "--encoder-normalize-before"],
}


@pytest.mark.parametrize("model", OTHER_MODELS.values(), ids=OTHER_MODELS)
def test_other_models_learn(trainer, model):
    built = trainer(*K3_CONSTANT, model=model)
    sample = built.batches[0]
    losses = [float(built.train_step([sample])["loss"]) for _ in range(20)]
    assert losses[-1] < losses[0]


def test_validation_sees_the_plain_loss_and_nothing_else(trainer):
    ours, theirs = trainer(*INTRA), trainer(*PLAIN)
    theirs.model.load_state_dict(ours.model.state_dict())
    for sample in ours.batches[:2]:
        outcome = ours.task.valid_step(sample, ours.model, ours.criterion)
        assert outcome == theirs.task.valid_step(sample, theirs.model, theirs.criterion)


def test_each_token_counts_once(trainer, gradients):
    built = trainer(*K3_CONSTANT)
    sample = built.batches[0]
    _, sample_size, log, _ = gradients(built, sample)
    tokens = int(sample["target"].ne(built.criterion.padding_idx).sum())
    assert sample_size == log["ntokens"] == log["sample_size"] == tokens
    assert log["nsentences"] == sample["target"].size(0)


def test_sentence_avg_normalises_by_sentences(trainer, gradients):
    built = trainer(*K3_CONSTANT, "--sentence-avg")
    sample = built.batches[0]
    assert gradients(built, sample)[1] == sample["target"].size(0)


def test_accuracy_is_the_share_of_right_tokens_over_the_passes(trainer, gradients):
    built = trainer(*K3_CONSTANT, "--report-accuracy")
    sample = built.batches[0]
    eos = built.task.target_dictionary.eos()
    with torch.no_grad():  # a model that always answers with the end of the sentence
        built.model.decoder.layers[-1].final_layer_norm.weight.zero_()
        built.model.decoder.layers[-1].final_layer_norm.bias.fill_(1)
        built.model.decoder.output_projection.weight.zero_()
        built.model.decoder.output_projection.weight[eos] = 1.0
    log = gradients(built, sample)[2]
    assert log["total"] == log["ntokens"]
    assert log["n_correct"] == pytest.approx(sample["target"].size(0))


def test_alpha_follows_the_schedule(trainer, gradients):
    built = trainer(*INTRA, "--alpha", "5", "--max-update", "100")
    sample = built.batches[0]
    alphas = []
    for update in (0, 5, 10, 20, 99):
        _, size, log, _ = gradients(built, sample, update)
        alphas.append(log["alpha"] / size)
        torch.testing.assert_close(
            log["loss"] - gradients(built, sample, 0)[2]["loss"], log["divergence"] * alphas[-1]
        )
    assert alphas == pytest.approx([0, 0.2, 1, 5, 5])
