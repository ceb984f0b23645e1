"""Which passes differ, where and when: --passes-differ, --every, --cutoff, and LayerDrop."""

import copy

import pytest
import torch
from fairseq.modules import FairseqDropout
from torch import nn

from intra_distill.core.cpu_dropout import draw_integers
from intra_distill.core.divergence import x_divergence
from intra_distill.core.layerdrop import LayerDropPerCopy
from intra_distill.core.loss import intra_distillation_loss

from ..support.devices import DEVICES
from ..support.training import (
    INTRA,
    LSTM,
    PLAIN,
    TINY_TRANSFORMER,
    Killed,
    assert_equal,
    kill_at,
    run_training,
)

K = 3
ROUNDING = 1e-3  # of a sum over tokens, in single precision
OPTIONS = [*INTRA, "--alpha", "1"]
ALL_DROPOUT = ["--attention-dropout", "0.2", "--activation-dropout", "0.2"]
LAYERDROP = ["--encoder-layerdrop", "0.3", "--decoder-layerdrop", "0.3"]
SWITCH = ["--arch", "switch_transformer", *TINY_TRANSFORMER[2:], "--num-experts", "2"]
MODELS = {
    "transformer": ([*TINY_TRANSFORMER, *ALL_DROPOUT], []),
    "layerdrop": ([*TINY_TRANSFORMER, *ALL_DROPOUT, *LAYERDROP], []),
    "checkpoints": ([*TINY_TRANSFORMER, *ALL_DROPOUT, "--checkpoint-activations"], []),
    "not fused": ([*TINY_TRANSFORMER, *ALL_DROPOUT], ["--loss-implementation", "plain"]),
    "lstm": (LSTM, []),
}


def silence(side: nn.Module) -> None:
    """Switch off all that is random in an encoder or decoder."""
    for module in side.modules():
        if isinstance(module, (FairseqDropout, LayerDropPerCopy)):
            module.p = 0.0
        if hasattr(module, "dropout_in_module"):  # an LSTM's
            module.dropout_in_module.p = module.dropout_out_module.p = 0.0


def build(trainer, *options: str, model: list[str], device: str):
    """A trainer whose model has parameters so large that its passes differ clearly."""
    built = trainer(*OPTIONS, *options, model=model, device=device)
    for parameter in built.model.parameters():
        parameter.data.mul_(4)
    return built


def loss_and_divergence(built, seed: int) -> tuple[float, float]:
    torch.manual_seed(seed)
    loss, _, log = built.task.train_step(
        built.batches[0], built.model, built.criterion, built.optimizer, 0
    )
    return float(loss), float(log["divergence"])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model, options", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("differing, other", [("encoder", "decoder"), ("decoder", "encoder")])
def test_only_one_side_makes_passes_differ(trainer, differing, other, model, options, device):
    built = build(trainer, *options, "--passes-differ", differing, model=model, device=device)
    silence(getattr(built.model, other))
    assert all(loss_and_divergence(built, seed)[1] > 1e-2 for seed in (1, 2))
    silence(getattr(built.model, differing))
    assert abs(loss_and_divergence(built, 1)[1]) < ROUNDING


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model, options", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("differing", ["encoder", "decoder"])
def test_what_is_random_on_the_other_side_is_the_same_in_all_passes(
    trainer, differing, model, options, device
):
    built = build(trainer, *options, "--passes-differ", differing, model=model, device=device)
    silence(getattr(built.model, differing))
    (one, nothing), (other, nothing_either) = (loss_and_divergence(built, seed) for seed in (1, 2))
    assert max(abs(nothing), abs(nothing_either)) < ROUNDING
    assert one != other  # it was random


def test_an_encoder_whose_passes_are_the_same_runs_once(trainer, gradients):
    """Loss and gradients are those of the one encoding, of which the decoder makes K passes."""
    built = trainer(*OPTIONS, "--passes-differ", "decoder", *ALL_DROPOUT)
    model, sample = built.model, built.batches[0]
    sentences = []
    model.encoder.layers[0].register_forward_pre_hook(
        lambda _, inputs: sentences.append(inputs[0].size(1))
    )
    loss, _, log, grads = gradients(built, sample)
    B = sample["target"].size(0)
    assert sentences == [B]

    built.zero_grad()
    torch.manual_seed(7)
    net_input, target = sample["net_input"], sample["target"]
    encoded = model.encoder(net_input["src_tokens"], net_input["src_lengths"])
    encoded = model.encoder.reorder_encoder_out(encoded, torch.arange(B).repeat(K))
    output = model.decoder(net_input["prev_output_tokens"].repeat(K, 1), encoder_out=encoded)
    lprobs = model.get_normalized_probs(output, log_probs=True).unflatten(0, (K, B))
    scored = target.ne(built.criterion.padding_idx)
    alpha = built.criterion.objective.alpha({"update_num": 0})
    expected = intra_distillation_loss(
        lprobs[:, scored], target[scored], alpha, x_divergence, label_smoothing=0.1
    )
    expected.loss.backward()
    torch.testing.assert_close((loss, log["divergence"]), (expected.loss.detach(), expected[2]))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("differing", ["encoder", "decoder"])
def test_experts_have_their_auxiliary_loss(trainer, gradients, differing):
    built = trainer(*OPTIONS, "--passes-differ", differing, model=SWITCH)
    _, _, log, _ = gradients(built, built.batches[0])
    tokens = built.batches[0]["ntokens"]
    assert 1 <= log["auxiliary/load_balance"] / tokens < 2 and log["divergence"] > 0


def test_a_copy_of_the_model_has_its_own_sides(trainer):
    """As an exponential moving average of the parameters makes it."""
    for differing in ("encoder", "decoder"):
        built = trainer(*OPTIONS, "--passes-differ", differing)
        twin, sample = copy.deepcopy(built.model).eval(), built.batches[0]["net_input"]
        before = twin(**sample)[0]
        for parameter in built.model.parameters():
            parameter.data.zero_()
        assert torch.equal(twin(**sample)[0], before)


# Every N-th update


def test_k_passes_in_every_nth_update_and_plain_updates_between(trainer, gradients):
    built, plain = trainer(*OPTIONS, "--every", "3"), trainer(*PLAIN)
    plain.model.load_state_dict(built.model.state_dict())
    draw_integers(plain.model, FairseqDropout)
    sample = built.batches[0]
    for update in range(7):
        loss, size, log, grads = gradients(built, sample, update=update)
        assert ("divergence" in log) == (update in (0, 3, 6))
        if "divergence" not in log:
            their_loss, their_size, their_log, theirs = gradients(plain, sample, update=update)
            torch.testing.assert_close(loss, their_loss)
            assert size == their_size and log.keys() == their_log.keys()
            for name in grads:
                torch.testing.assert_close(grads[name], theirs[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [[], ["--passes-in-memory", "1"]], ids=" ".join)
def test_alpha_follows_all_updates(configure, options, tmp_path):
    """Its mean in the log is of the updates that have it."""
    cfg = configure(*INTRA, "--alpha", "2", "--every", "2", "--max-update", "12", *options)
    run_training(cfg)
    state = torch.load(tmp_path / "checkpoints" / "checkpoint_last.pt")
    meters = {name: meter for *_, name, _, meter in state["extra_state"]["metrics"]["train"]}
    schedule = [min(2.0, 2 * 5 * update / 12) for update in range(0, 12, 2)]  # γ is 1 for α = 2
    assert meters["alpha"]["sum"] / meters["alpha"]["count"] == pytest.approx(
        sum(schedule) / 6,
        rel=0.15,  # the batches' weights are their tokens
    )
    assert meters["divergence"]["sum"] > 0


# LayerDrop, and training with all of them


def test_layerdrop_alone_makes_passes_differ(trainer, gradients):
    built = trainer(*OPTIONS, "--dropout", "0", "--encoder-layerdrop", "0.5")
    assert isinstance(built.model.encoder.layers, LayerDropPerCopy)
    assert any(
        gradients(built, built.batches[0], seed=seed)[2]["divergence"] > 1e-6 for seed in range(9)
    )


def test_one_pass_has_fairseqs_own_layers(trainer):
    built = trainer(*PLAIN, *LAYERDROP)
    assert type(built.model.encoder.layers).__name__ == "LayerDropModuleList"


@pytest.mark.parametrize(
    "options",
    [
        ["--cutoff", "0.1", "--divergence", "kl", "--supervised-passes", "1"],
        ["--cutoff", "0.1", "--passes-in-memory", "2", "--every", "2"],
        ["--passes-differ", "decoder", "--every", "2"],
        ["--passes-differ", "encoder", *ALL_DROPOUT],
        [*LAYERDROP, "--encoder-layers", "2"],
    ],
    ids=" ".join,
)
def test_a_killed_run_resumes_bitwise(configure, tmp_path, monkeypatch, options):
    saving = ["--save-interval-updates", "4", "--validate-interval-updates", "4", *options]
    states = []
    for name in ("whole", "killed"):
        cfg = configure(*OPTIONS, *saving, "--save-dir", str(tmp_path / name))
        if name == "killed":
            with monkeypatch.context() as patch, pytest.raises(Killed):
                kill_at(patch, 7)
                run_training(cfg)
        run_training(cfg)
        states.append(torch.load(tmp_path / name / "checkpoint_last.pt"))
    assert states[0]["optimizer_history"][-1]["num_updates"] == 12
    for part in ("model", "last_optimizer_state"):
        assert_equal(states[0][part], states[1][part])
