import copy
from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch
from fairseq import utils
from fairseq.data import Dictionary
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.logging import metrics
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY, build_model
from fairseq.options import get_generation_parser, parse_args_and_arch
from fairseq_cli import generate
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from intra_distill.core.passes_in_memory import limit_passes_in_memory
from intra_distill.core.replicate import replicate, take_passes
from intra_distill.models.switch_transformer import Experts, Router

from ..support.training import INTRA, PLAIN, TASK, TINY_TRANSFORMER, USER_DIR, run_training

SIZE = TINY_TRANSFORMER[2:]
DENSE = ["--arch", "transformer_tiny", *SIZE]
SWITCH = ["--arch", "switch_transformer_tiny", *SIZE]
STILL = "--dropout 0 --attention-dropout 0 --router-jitter 0".split()  # nothing left to chance
LOGGED = "load_balance", "expert_load_max", "dropped"
CRITERIA = {
    "label-smoothed": PLAIN,
    "plain, of sentences": [*PLAIN, "--sentence-avg"],
    "cross-entropy": [*TASK, "--num-passes", "1", "--criterion", "cross_entropy"],
    "fused": [*INTRA, "--alpha", "1"],
    "unfused": [*INTRA, "--alpha", "1", "--loss-implementation", "plain"],
    "intra-distilled, of sentences": [*INTRA, "--alpha", "1", "--sentence-avg"],
}


def routers(model: nn.Module) -> list[Router]:
    return [module for module in model.modules() if isinstance(module, Router)]


@pytest.mark.parametrize(
    "arch, types, parameters",
    [
        ("transformer_iwslt_de_en", 12_001, 49_976_832),
        ("switch_transformer_iwslt_de_en", 12_001, 87_805_440),
        ("transformer_vaswani_wmt_en_de_big", 32_001, 274_664_448),
        ("switch_transformer_wmt_en_de_big", 32_001, 576_887_808),
    ],
)
def test_as_many_parameters_as_in_the_paper(arch, types, parameters):
    dictionary = Dictionary()
    for i in range(types - len(dictionary)):
        dictionary.add_symbol(str(i))
    args = Namespace()
    ARCH_CONFIG_REGISTRY[arch](args)
    task = SimpleNamespace(source_dictionary=dictionary, target_dictionary=dictionary)
    with torch.device("meta"):
        model = ARCH_MODEL_REGISTRY[arch].build_model(args, task)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_a_task_that_would_leave_out_the_auxiliary_loss_is_refused(trainer):
    built = trainer("--task", "translation", model=SWITCH)
    built.valid_step(built.batches[0])
    with pytest.raises(SystemExit, match="train .* with --task translation_intra_distillation"):
        built.train_step(built.batches[:1])


@pytest.mark.parametrize("given, expected", [([], 0.2), (["--expert-dropout", "0.4"], 0.4)])
def test_expert_dropout_is_inside_the_experts(trainer, given, expected):
    model = trainer(*PLAIN, *given, model=SWITCH).model  # --dropout 0.2
    for layer in (*model.encoder.layers, *model.decoder.layers):
        assert layer.activation_dropout_module.p == expected
        assert layer.dropout_module.p == 0.2


def test_experts_begin_apart_and_as_fairseq_begins_an_ffn(trainer):
    dense, switch = (trainer(*PLAIN, model=model).model for model in (DENSE, SWITCH))
    for name, experts in switch.named_modules():
        if isinstance(experts, Experts):
            linear = dense.get_submodule(name)
            for ours, theirs in ((experts.weight, linear.weight), (experts.bias, linear.bias)):
                assert ours.shape == (4, *theirs.shape)
                bound = linear.in_features**-0.5
                assert all(0.8 * bound < expert.abs().max() <= bound for expert in ours)
            assert not torch.equal(experts.weight[0], experts.weight[1])


@pytest.fixture
def agreeing(trainer):
    """A dense model, and one whose experts are all the dense FFN and whose routers are sure."""

    def agreeing(*options):
        dense = trainer(*PLAIN, "--dropout", "0", model=DENSE)
        switch = trainer(*PLAIN, *STILL, *options, model=SWITCH)
        weights = dense.model.state_dict()
        for name, parameter in switch.model.state_dict().items():
            if "router" in name:
                parameter *= 1e6
            else:
                parameter.copy_(weights[name])
        return dense, switch

    return agreeing


@pytest.mark.parametrize("training", [True, False])
def test_experts_that_agree_are_the_dense_transformer(agreeing, training):
    dense, switch = agreeing("--capacity-factor", "4", "--load-balance-alpha", "0")
    busy = torch.zeros(4)
    results = []
    for built in (dense, switch):
        built.model.train(training)
        loss, _, _ = built.criterion(built.model, built.batches[0])
        loss.backward()
        results.append(loss)
    torch.testing.assert_close(*results)
    expected = dict(dense.model.named_parameters())
    for name, parameter in switch.model.named_parameters():
        if "router" not in name:
            grad = parameter.grad
            if ".fc" in name:  # the dense FFN saw all tokens, an expert its own
                busy += grad.flatten(1).abs().sum(1) > 0
                grad = grad.sum(0)
            torch.testing.assert_close(grad, expected[name].grad, rtol=1e-4, atol=1e-4)
    assert busy.count_nonzero() >= 3


def test_tokens_beyond_the_capacity_are_dropped_in_training_alone(agreeing):
    dense, switch = agreeing("--capacity-factor", "0.5")
    sample = dense.batches[0]
    losses = {}
    for training in (True, False):
        for name, built in (("dense", dense), ("switch", switch)):
            built.model.train(training)
            losses[training, name] = built.criterion(built.model, sample)[0].item()
    assert losses[False, "switch"] == pytest.approx(losses[False, "dense"], rel=1e-5)
    assert losses[True, "switch"] != pytest.approx(losses[True, "dense"], rel=1e-3)


def test_no_position_and_no_copy_is_dropped_more_than_the_others(trainer):
    """In training with K = 3 of 32 sentences with 40 positions each, half of them dropped."""
    B, T, K = 32, 40, 3
    built = trainer(*INTRA, "--capacity-factor", "0.5", model=SWITCH)
    dropped: list[Tensor] = []  # (T, K, B) of each layer
    for layer in (*built.model.encoder.layers, *built.model.decoder.layers):
        layer.fc1.register_forward_hook(
            lambda _fc1, _inputs, _slots, router=layer.router: dropped.append(
                router.routing.slot.lt(0).double().view(T, K, B)
            )
        )
    torch.manual_seed(1)
    tokens = torch.randint(4, len(built.task.target_dictionary), (B, T))
    built.model.train()
    built.model(
        **replicate({"src_tokens": tokens, "src_lengths": None, "prev_output_tokens": tokens}, K)
    )
    assert len(dropped) == 2
    for layer in dropped:
        share = layer.mean()
        assert share >= 0.5
        by_position, by_copy = layer.mean((1, 2)), layer.mean((0, 2))
        assert (by_copy / share - 1).abs().max() < 0.1
        assert (by_position.view(4, -1).mean(1) / share - 1).abs().max() < 0.15
        assert 0.5 * share < by_position.min() and by_position.max() < 1.5 * share


def widened(sample: dict, pad: int, columns: int) -> dict:
    """The same batch with more padding on either side of the model."""
    wide = copy.deepcopy(sample)
    net_input = wide["net_input"]
    net_input["src_tokens"] = F.pad(net_input["src_tokens"], (columns, 0), value=pad)
    net_input["prev_output_tokens"] = F.pad(
        net_input["prev_output_tokens"], (0, columns), value=pad
    )
    wide["target"] = F.pad(wide["target"], (0, columns), value=pad)
    return wide


def test_padding_neither_takes_capacity_nor_counts_in_the_balance(trainer):
    built = trainer(*PLAIN, *STILL, "--capacity-factor", "0.8", model=SWITCH)
    pad = built.task.target_dictionary.pad()
    narrow, wide = built.batches[1], widened(built.batches[1], pad, columns=5)
    built.model.train()
    results = []
    for sample in (narrow, wide):
        loss, _, logged = built.criterion(built.model, sample)
        results.append([loss, *(logged[f"auxiliary/{name}"] for name in LOGGED)])
    torch.testing.assert_close(*results)
    assert results[0][-1] > 0  # some were dropped


def probabilities_seen(model: nn.Module) -> list[Tensor]:
    """A list that grows by the probabilities of every router that is run."""
    seen: list[Tensor] = []
    for router in routers(model):
        router.register_forward_hook(lambda _router, _inputs, output: seen.append(output))
    return seen


def reference_balance(model: nn.Module, sample: dict, seen: list[Tensor]) -> list[Tensor]:
    """E Σ f P of each layer, from the routers' probabilities as they were seen."""
    pad = model.encoder.padding_idx
    stacks = [model.encoder.layers, model.decoder.layers]
    tokens = [sample["net_input"][side] for side in ("src_tokens", "prev_output_tokens")]
    balances = []
    for layers, rows in zip(stacks, tokens):
        for _ in layers:
            probabilities = seen[len(balances)][rows.t().reshape(-1).ne(pad)]
            E = probabilities.size(-1)
            f = torch.stack([(probabilities.argmax(-1) == e).float().mean() for e in range(E)])
            balances.append(E * (f * probabilities.mean(0)).sum())
    return balances


def replicated(task, sample: dict) -> dict:
    """The batch as the task gives it to the criterion."""
    if (K := task.num_passes) == 1:
        return sample
    return replicate(sample, K) | {"num_passes": K, "update_num": 0}


@pytest.mark.parametrize("system", CRITERIA.values(), ids=CRITERIA)
def test_the_auxiliary_loss_joins_any_criterion_at_the_scale_of_a_token(trainer, gradients, system):
    built = trainer(*system, "--load-balance-alpha", "0.5", model=SWITCH)
    model, criterion, sample = built.model, built.criterion, built.batches[1]
    loss, sample_size, _, grads = gradients(built, sample)

    seen = probabilities_seen(model)
    sample = replicated(built.task, sample)
    built.zero_grad()
    torch.manual_seed(7)
    alone, expected_size, _ = type(criterion).forward(criterion, model, sample)  # without hooks
    assert sample_size == expected_size
    balance = sum(reference_balance(model, sample, seen))
    assert 1 < balance / len(seen) < 4
    expected = alone + 0.5 * sample["ntokens"] * balance
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("M", [1, 2])
def test_of_several_forward_passes_the_mean_joins(trainer, gradients, M):
    built = trainer(*INTRA, "--alpha", "1", "--load-balance-alpha", "0.5", model=SWITCH)
    limit_passes_in_memory(built.model, built.task.copies, M)
    model, sample = built.model, built.batches[1]
    gradients(built, built.batches[0], seed=3)  # whose backward runs the forward passes again
    assert not any(router.loads for router in routers(model))
    loss, _, _, grads = gradients(built, sample)

    seen = probabilities_seen(model)
    sample = replicated(built.task, sample)
    built.zero_grad()
    torch.manual_seed(7)
    with built.task.copies.in_model(0, 3):
        alone, _, _ = type(built.criterion).forward(built.criterion, model, sample)
    balance = 0
    for group, start in enumerate(range(0, 3, M)):
        stop = min(start + M, 3)
        part = {"net_input": take_passes(sample["net_input"], 3, start, stop)}
        balances = reference_balance(model, part, seen[2 * group : 2 * group + 2])
        balance += (stop - start) / 3 * sum(balances)
    expected = alone + 0.5 * sample["ntokens"] * balance
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("system", [PLAIN, [*INTRA, "--alpha", "1"]], ids=["plain", "intra"])
def test_update_freq_sums_gradients_and_logs_means_over_tokens(trainer, system):
    built, other = (trainer(*system, "--update-freq", "2", model=SWITCH) for _ in range(2))
    with metrics.aggregate(new_root=True) as logged:
        built.train_step(built.batches[:2])

    utils.set_torch_seed(other.cfg.common.seed)
    _, sizes, logs = zip(
        *(
            other.task.train_step(sample, other.model, other.criterion, other.optimizer, 0)
            for sample in other.batches[:2]
        )
    )
    for ours, theirs in zip(built.model.parameters(), other.model.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad / sum(sizes))
    values = logged.get_smoothed_values()
    for name in LOGGED:
        mean = sum(log[f"auxiliary/{name}"] for log in logs) / sum(sizes)
        assert values[name] == pytest.approx(mean.item(), abs=1e-3)
    assert 1 <= values["load_balance"] < 4 and 0.25 <= values["expert_load_max"] <= 1
    assert 0 <= values["dropped"] < 1


DROPPED = ["--encoder-layerdrop", "0.5", "--decoder-layerdrop", "0.5"]


def test_the_figures_are_means_over_the_batches_that_have_them(trainer):
    """LayerDrop leaves out all layers of some batches: the others' figures are not diluted."""
    built = trainer(*PLAIN, *DROPPED, "--load-balance-alpha", "0.5", model=SWITCH)
    batches = [built.batches[n % 4] for n in range(24)]
    built.model.train()
    built.criterion.train()
    logs = [built.criterion(built.model, sample)[2] for sample in batches]
    assert len({tuple((key, type(value)) for key, value in log.items()) for log in logs}) == 1
    have = [log["auxiliary_weight/load_balance"] > 0 for log in logs]
    assert 0 < sum(have) < len(logs)
    for ours in (logs, logs[::-1], [log for log, full in zip(logs, have) if not full][:1] + logs):
        with metrics.aggregate() as logged:
            built.task.reduce_metrics(ours, built.criterion)
        values = logged.get_smoothed_values()
        full = [log for log in ours if log["auxiliary_weight/load_balance"] > 0]
        tokens = sum(log["ntokens"] for log in full)
        for name in LOGGED:
            mean = sum(log[f"auxiliary/{name}"] for log in full) / tokens
            assert values[name] == pytest.approx(mean.item(), abs=1e-3)
        assert values["load_balance"] >= 1


def test_a_batch_without_layers_has_no_figures_and_no_loss(trainer):
    always = [option.replace("0.5", "1.0") for option in DROPPED]
    built = trainer(*PLAIN, *always, "--load-balance-alpha", "100", model=SWITCH)
    built.model.train()
    sample = built.batches[0]
    torch.manual_seed(7)
    loss, _, log = built.criterion(built.model, sample)
    torch.manual_seed(7)
    alone, _, _ = type(built.criterion).forward(built.criterion, built.model, sample)
    assert torch.equal(loss, alone)
    with metrics.aggregate() as logged:
        built.task.reduce_metrics([log], built.criterion)
    assert not set(LOGGED) & logged.get_smoothed_values().keys()


def test_layer_drop_trains_with_several_batches_an_update(configure, tmp_path):
    options = [*PLAIN, *DROPPED, "--update-freq", "2", "--max-update", "20"]
    run_training(configure(*options, model=SWITCH))
    state = torch.load(tmp_path / "checkpoints" / "checkpoint_last.pt")
    assert state["optimizer_history"][-1]["num_updates"] == 20


def test_validation_has_no_auxiliary_loss(trainer):
    light, heavy = (
        trainer(*PLAIN, "--load-balance-alpha", alpha, model=SWITCH) for alpha in ("0", "100")
    )
    results = [built.valid_step(built.batches[0]) for built in (light, heavy)]
    assert results[0] == results[1] and not any("auxiliary" in key for key in results[0])


def test_jitter_is_for_training_and_of_the_size_asked_for(trainer):
    model = trainer(*PLAIN, "--router-jitter", "0.1", model=SWITCH).model
    router = routers(model)[0]
    tokens = torch.ones(1000, router.in_features)
    router.weight.data.fill_(0)
    router.weight.data[0, 0] = 1  # the first expert's logit is the first feature
    router.train()
    noisy = router(tokens)
    feature = (noisy[:, 0] / noisy[:, 1]).log()
    assert 0.9 - 1e-4 <= feature.min() < 0.91 and 1.09 < feature.max() <= 1.1 + 1e-4
    router.eval()
    assert torch.equal(router(tokens), router(tokens)) and router(tokens).unique(dim=0).size(0) == 1


@pytest.mark.parametrize("autocast", [False, True])
def test_routers_compute_in_float32(trainer, autocast):
    built = trainer(*PLAIN, model=SWITCH)
    seen = probabilities_seen(built.model)
    if not autocast:
        built.model.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        built.model.train()
        loss, _, _ = built.criterion(built.model, built.batches[0])
    loss.backward()
    assert [probabilities.dtype for probabilities in seen] == [torch.float32] * 2
    parameters = list(built.model.parameters())
    assert all(p.grad.isfinite().all() and p.grad.dtype == p.dtype for p in parameters)


def test_a_hypothesis_is_the_same_alone_and_in_a_batch(trainer):
    built = trainer(*PLAIN, "--capacity-factor", "0.3", model=SWITCH)
    for _ in range(3):
        for batch in built.batches:
            built.train_step([batch])
    built.model.eval()
    generator = built.task.build_generator([built.model], Namespace(beam=3, max_len_b=12))
    dataset = built.task.dataset("train")
    batch = dataset.collater([dataset[i] for i in range(12)])
    assert batch["net_input"]["src_tokens"].eq(dataset.src_dict.pad()).any()
    lengths = set()
    for index, together in zip(batch["id"].tolist(), generator.generate([built.model], batch)):
        sample = dataset.collater([dataset[index]])
        (alone,) = generator.generate([built.model], sample)
        for hypothesis, other in zip(together, alone, strict=True):
            assert torch.equal(hypothesis["tokens"], other["tokens"])
            torch.testing.assert_close(
                hypothesis["positional_scores"], other["positional_scores"], rtol=1e-4, atol=1e-5
            )
            lengths.add(len(hypothesis["tokens"]))
    assert len(lengths) > 1


def test_incremental_decoding_scores_as_the_whole_prefix_at_once(trainer):
    built = trainer(*PLAIN, model=SWITCH)
    model, sample = built.model.eval(), built.batches[1]
    net_input = sample["net_input"]
    whole, _ = model(**net_input)
    encoder_out = model.encoder(net_input["src_tokens"])
    state, prefix = {}, net_input["prev_output_tokens"]
    for t in range(prefix.size(1)):
        step, _ = model.decoder(prefix[:, : t + 1], encoder_out, incremental_state=state)
        there = prefix[:, t].ne(model.decoder.padding_idx)
        torch.testing.assert_close(step[there, 0], whole[there, t], rtol=1e-4, atol=1e-5)


def test_a_copy_of_the_model_has_routers_of_its_own(trainer):
    model = trainer(*PLAIN, model=SWITCH).model.eval()
    net_input = trainer(*PLAIN, model=SWITCH).batches[0]["net_input"]
    before, _ = model(**net_input)
    copied = copy.deepcopy(model)
    for router in routers(copied):
        router.weight.data.mul_(-100)
    changed, _ = copied(**net_input)
    assert not torch.allclose(changed, before)
    assert torch.equal(model(**net_input)[0], before)


def test_hydra_composes_it_with_the_options_given(trainer):
    task = trainer(*PLAIN, model=SWITCH).task
    cfg = OmegaConf.create({"_name": "switch_transformer_tiny", "num_experts": 3})
    model = build_model(cfg, task)
    assert model.encoder.layers[0].fc1.weight.shape == (3, 64, 64)


@pytest.mark.parametrize(
    "system, options",
    [
        (PLAIN, []),
        (INTRA, ["--constant-alpha"]),
        (PLAIN, ["--share-all-embeddings", "--encoder-layerdrop", "0.5", "--encoder-layers", "2"]),
        (PLAIN, ["--encoder-normalize-before", "--decoder-normalize-before", "--store-ema"]),
    ],
)
def test_it_trains_resumes_bit_for_bit_and_generates(configure, data, tmp_path, system, options):
    folders = tmp_path / "through", tmp_path / "resumed"
    for folder, bounds in zip(folders, (["4"], ["2", "4"])):
        for bound in bounds:
            run = ["--save-dir", str(folder), "--max-update", bound, "--disable-validation"]
            run_training(configure(*system, *options, *run, model=SWITCH))
    one, other = (
        torch.load(folder / "checkpoint_last.pt", weights_only=True)["model"] for folder in folders
    )
    assert one["encoder.layers.0.fc1.weight"].shape == (4, 32, 16)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name

    arguments = [
        *[data, "--path", str(folders[1] / "checkpoint_last.pt"), "--user-dir", USER_DIR],
        *["--cpu", "--beam", "2", "--num-workers", "0", "--max-len-b", "5"],
        *["--required-batch-size-multiple", "1", "--results-path", str(tmp_path)],
    ]
    cfg = parse_args_and_arch(get_generation_parser(), arguments)
    generate.main(convert_namespace_to_omegaconf(cfg))
    lines = (tmp_path / "generate-test.txt").read_text().splitlines()
    assert sum(line.startswith("H-") for line in lines) == 20
