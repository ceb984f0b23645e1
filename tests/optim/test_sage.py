import copy

import pytest
import torch
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.optim import FP16Optimizer, MemoryEfficientFP16Optimizer
from fairseq.optim.adam import Adam
from fairseq.optim.adamax import Adamax
from fairseq.options import get_generation_parser, parse_args_and_arch
from fairseq_cli import generate
from omegaconf import OmegaConf
from torch import nn

from intra_distill.optim.sage import Sage, attention_and_ffn_matrices
from intra_distill.tools.config import config_arguments

from ..support.checkpoints import change_checkpoint
from ..support.devices import DEVICES
from ..support.hydra import SHORT_RUN, run_module
from ..support.optimizers import assert_resumes_to_the_last_bit
from ..support.training import CONFIGS, INTRA, LSTM, PLAIN, USER_DIR, run_training

SAGE = ["--optimizer", "sage"]


def steps_by_the_formulas(theta, gradients, base, lr, betas, eps, weight_decay, guided):
    """One weight, step by step in Python's floats, as the papers of Adam and SAGE write it."""
    beta1, beta2, beta3 = betas
    m = v = average = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        if base == "adam":
            v = beta2 * v + (1 - beta2) * g**2
            # fairseq adds ε to the root before the correction of its bias
            root = (1 - beta2**t) ** 0.5
            direction = m / (1 - beta1**t) / ((v**0.5 + eps) / root)
        else:
            v = max(beta2 * v, abs(g))
            direction = m / (1 - beta1**t) / (v + eps)
        sensitivity = abs(theta * g)
        average = beta3 * average + (1 - beta3) * sensitivity
        corrected = average / (1 - beta3**t)
        uncertainty = abs(sensitivity - corrected)
        factor = uncertainty / (corrected + eps**2) if guided and corrected > 0 else 1.0
        theta = theta - lr * weight_decay * theta - lr * factor * direction
    return theta


def parameter_and_gradients(shape, dtype, steps=6):
    generator = torch.Generator().manual_seed(1)
    theta = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    scales = [10.0**-i for i in range(steps)]  # gradients down to the size of ε
    return nn.Parameter(theta), [
        (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)
        for scale in scales
    ]


def optimized(theta, gradients, cls=Sage, guided=(), **settings):
    theta = nn.Parameter(theta.detach().clone())
    optimizer = cls([theta], **settings)
    if cls is Sage:
        optimizer.guided = {theta} if guided else set()
    for gradient in gradients:
        theta.grad = gradient.clone()
        optimizer.step()
    return theta.detach()


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("beta3", [0.0, 0.75, 0.999])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("base", ["adam", "adamax"])
def test_steps_follow_the_formulas(base, weight_decay, beta3, guided):
    theta, gradients = parameter_and_gradients((2, 4), torch.float64)
    theta.data[:, -1] = 0
    settings = {"lr": 0.1, "betas": (0.9, 0.98, beta3), "eps": 1e-8, "weight_decay": weight_decay}
    result = optimized(theta, gradients, guided=guided, base=base, **settings)
    expected = [
        steps_by_the_formulas(weight, column, base, guided=guided, **settings)
        for weight, column in zip(
            theta.flatten().tolist(), zip(*(g.flatten().tolist() for g in gradients))
        )
    ]
    torch.testing.assert_close(
        result.flatten(), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 0.05), (torch.float16, 0.01)]
)
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("base", ["adam", "adamax"])
def test_lower_precision_follows_float64(base, shape, dtype, tolerance, device):
    theta, gradients = parameter_and_gradients(shape, dtype)
    theta.data[0, 0] = 0
    settings = {"lr": 0.1, "base": base, "weight_decay": 0.1, "guided": True}
    result = optimized(theta.to(device), [g.to(device) for g in gradients], **settings)
    expected = optimized(theta.double(), [g.double() for g in gradients], **settings)
    assert result.dtype == dtype
    torch.testing.assert_close(result.double().cpu(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("base, cls", [("adam", Adam), ("adamax", Adamax)])
def test_plain_steps_are_those_of_fairseqs_optimizers(base, cls, dtype):
    theta, gradients = parameter_and_gradients((7,), dtype)
    settings = {"lr": 0.1, "eps": 1e-8, "weight_decay": 0.1}
    plain = optimized(theta, gradients, cls, betas=(0.9, 0.98), **settings)
    sage = optimized(theta, gradients, base=base, betas=(0.9, 0.98, 0.5), **settings)
    torch.testing.assert_close(sage, plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_weight_without_gradient_stays(dtype):
    theta = torch.tensor([[0.0, 1.0, 1e-4]], dtype=dtype)
    gradients = [torch.tensor([[0.0, 0.0, 1e-4]], dtype=dtype)] * 3
    assert torch.equal(optimized(theta, gradients, guided=True, lr=0.1)[0, :2], theta[0, :2])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("base", ["adam", "adamax"])
def test_a_zero_leaves_by_a_plain_step(base, dtype):
    """At its first gradient, which is here the first or the third; the others are not affected."""
    theta, gradients = parameter_and_gradients((4, 5), dtype)
    settings = {"base": base, "lr": 0.1, "weight_decay": 0.1, "guided": True}
    others = theta.detach()[2:]
    expected = optimized(others, [g[2:] for g in gradients], **settings)
    theta.data[:2] = 0
    for g in gradients[:2]:
        g[1] = 0
    for row, steps in enumerate((1, 3)):
        after = optimized(theta, gradients[:steps], **settings)
        plain = optimized(theta, gradients[:steps], **{**settings, "guided": False})
        assert torch.equal(after[row], plain[row]) and after[row].ne(0).all()
        assert not after[row + 1 : 2].any()
    assert torch.equal(optimized(theta, gradients, **settings)[2:], expected)


def test_a_matrix_of_zeros_is_trained(configure, tmp_path):
    """As after pruning, and where one begins at zero."""

    def pruned(state):
        for name in ("encoder.layers.0.fc1.weight", "decoder.layers.0.fc2.weight"):
            state["model"][name][:] = 0

    train(configure, tmp_path / "dense", "--max-update", "2")
    checkpoint = tmp_path / "dense" / "checkpoint_last.pt"
    start = str(change_checkpoint(checkpoint, tmp_path / "pruned.pt", pruned))
    state = train(
        configure, tmp_path / "tuned", "--finetune-from-model", start, "--max-update", "3"
    )
    assert state["model"]["decoder.layers.0.fc2.weight"].any()
    assert state["model"]["encoder.layers.0.fc1.weight"].any()


def test_the_first_step_is_none_and_the_state_is_single_precision():
    theta = nn.Parameter(torch.ones(2, 2, dtype=torch.bfloat16))
    sage = Sage([theta], lr=0.1)
    sage.guided = {theta}
    theta.grad = torch.ones_like(theta)
    sage.step()
    assert torch.equal(theta, torch.ones_like(theta))
    state = sage.state[theta]
    assert state.pop("step") == 1
    assert {name: value.dtype for name, value in state.items()} == {
        "exp_avg": torch.float32,
        "exp_avg_sq": torch.float32,
        "exp_avg_sensitivity": torch.float32,
    }


def test_the_stacked_biases_of_experts_are_not_guided():
    layer = nn.Module()
    layer.self_attn, layer.fc1 = nn.Linear(4, 4), nn.Module()
    layer.fc1.weight = nn.Parameter(torch.ones(2, 3, 4))
    layer.fc1.bias = nn.Parameter(torch.ones(2, 3))
    model = nn.ModuleDict({"embedding": nn.Embedding(4, 4), "layer": layer})
    assert attention_and_ffn_matrices(model) == {layer.self_attn.weight, layer.fc1.weight}


@pytest.mark.parametrize("sharing", [[], ["--share-all-embeddings"]])
def test_it_guides_attention_and_ffn_matrices(trainer, sharing):
    built = trainer(*PLAIN, *SAGE, "--encoder-learned-pos", *sharing)
    built.train_step(built.batches[:1])
    guided = built.optimizer.optimizer.guided
    names = {name for name, p in built.model.named_parameters() if p in guided}
    projections = ("q_proj", "k_proj", "v_proj", "out_proj")
    expected = [f"encoder.layers.0.self_attn.{name}" for name in projections]
    expected += [f"decoder.layers.0.self_attn.{name}" for name in projections]
    expected += [f"decoder.layers.0.encoder_attn.{name}" for name in projections]
    expected += [
        f"{side}.layers.0.{fc}" for side in ("encoder", "decoder") for fc in ("fc1", "fc2")
    ]
    assert names == {f"{name}.weight" for name in expected}
    state = built.optimizer.optimizer.state
    assert {p for p in state if "exp_avg_sensitivity" in state[p]} == guided


@pytest.fixture
def half(configure):
    """Options → a small model in half precision, its twin in single, and fairseq's wrapper."""

    def build(wrapper, *options, device="cpu"):
        torch.manual_seed(1)
        model = nn.Module()
        model.self_attn, model.fc1 = nn.Linear(4, 4), nn.Linear(4, 4)
        model.to(device, torch.bfloat16 if "--bf16" in options else torch.float16)
        cfg = configure(*PLAIN, *SAGE, "--sage-eps", "0.01", *options)
        return (
            model,
            copy.deepcopy(model).float(),
            wrapper.build_optimizer(cfg, list(model.parameters())),
        )

    return build


def backward(model, optimizer=None):
    x = torch.linspace(-1, 1, 8).view(2, 4).to(model.fc1.weight)
    loss = model.fc1(model.self_attn(x)).float().square().sum()
    optimizer.backward(loss) if optimizer else loss.backward()


def update(model, optimizer):
    """What fairseq's trainer does at each update."""
    optimizer.zero_grad()
    backward(model, optimizer)
    optimizer.all_reduce_grads(model)
    optimizer.multiply_grads(0.5)
    optimizer.clip_grad_norm(0.0)
    optimizer.step()


FP16 = ["--fp16", "--fp16-no-flatten-grads", "--fp16-init-scale"]
PRECISIONS = [["--bf16"], [*FP16, "1"], [*FP16, "1024"]]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", PRECISIONS, ids=" ".join)
@pytest.mark.parametrize("wrapper", [FP16Optimizer, MemoryEfficientFP16Optimizer])
def test_the_sensitivity_under_fairseqs_wrappers_is_the_true_one(half, wrapper, options, device):
    model, twin, optimizer = half(wrapper, *options, device=device)
    backward(twin)
    update(model, optimizer)
    for mine, p in zip(optimizer.params, twin.parameters()):
        state = optimizer.optimizer.state[mine]
        assert ("exp_avg_sensitivity" in state) == (p.ndim == 2)
        if p.ndim == 2:
            expected = 0.25 * (p * 0.5 * p.grad).abs()
            torch.testing.assert_close(state["exp_avg_sensitivity"], expected, rtol=0.05, atol=1e-4)


@pytest.mark.parametrize("wrapper", [FP16Optimizer, MemoryEfficientFP16Optimizer])
def test_the_loss_scale_changes_nothing(half, wrapper):
    models = []
    for scale in ("1", "1024"):
        model, _, optimizer = half(wrapper, *FP16, scale)
        before = copy.deepcopy(model)
        for _ in range(4):
            update(model, optimizer)
        models.append(model)
    for unscaled, scaled, old in zip(*(model.parameters() for model in [*models, before])):
        assert torch.equal(unscaled, scaled) and not torch.equal(scaled, old)


@pytest.mark.parametrize("options", PRECISIONS[:2], ids=" ".join)
def test_memory_efficient_training_resumes_to_the_last_bit(half, options):
    def build():
        model, _, optimizer = half(MemoryEfficientFP16Optimizer, *options)
        return model, optimizer

    assert_resumes_to_the_last_bit(build, update)


def test_flattened_parameters_are_refused(half, monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    with pytest.raises(SystemExit, match="--fp16-no-flatten-grads"):
        half(FP16Optimizer, "--fp16")


def test_parameters_frozen_before_leave_the_others_in_their_place(trainer):
    built = trainer(*PLAIN, *SAGE)
    built.reinitialize()
    built.model.encoder.layers[0].requires_grad_(False)
    built.train_step(built.batches[:1])
    guided = built.optimizer.optimizer.guided
    assert guided == {p for p in attention_and_ffn_matrices(built.model) if p.requires_grad}
    assert len(guided) == 10


def test_parameters_frozen_later_are_refused(trainer):
    built = trainer(*PLAIN, *SAGE)
    built.model.encoder.layers[0].requires_grad_(False)
    with pytest.raises(SystemExit, match="frozen"):
        built.train_step(built.batches[:1])


def test_a_model_without_attention_layers_is_refused(trainer):
    built = trainer(*PLAIN, *SAGE, model=LSTM)
    with pytest.raises(SystemExit, match="LSTMModel .* use adam"):
        built.train_step(built.batches[:1])


def test_a_step_without_the_model_is_refused(trainer):
    with pytest.raises(SystemExit, match="bmuf"):
        trainer(*PLAIN, *SAGE).optimizer.step()


def test_the_checkpoint_of_another_optimizer_is_refused(configure, tmp_path):
    train(configure, tmp_path, "--max-update", "2")
    with pytest.raises(SystemExit, match="not sage on adamax.*--reset-optimizer"):
        train(configure, tmp_path, "--max-update", "4", "--sage-base", "adamax")


def train(configure, folder, *arguments):
    run_training(configure(*PLAIN, *SAGE, "--save-dir", str(folder), *arguments))
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)


@pytest.mark.parametrize("base", ["adam", "adamax"])
@pytest.mark.parametrize("frequency", [1, 2])
def test_a_resumed_run_is_the_same_to_the_last_bit(configure, tmp_path, frequency, base):
    options = ["--sage-base", base, "--update-freq", str(frequency), "--dropout", "0"]
    whole = train(configure, tmp_path / "whole", *options, "--max-update", "6")
    train(configure, tmp_path / "halves", *options, "--max-update", "3")
    halves = train(configure, tmp_path / "halves", *options, "--max-update", "6")
    for name, parameter in whole["model"].items():
        assert torch.equal(parameter, halves["model"][name]), name
    states = [run["last_optimizer_state"] for run in (whole, halves)]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    for index, state in states[0]["state"].items():
        assert state["step"] == states[1]["state"][index]["step"] == 6
        for name, value in state.items():
            assert name == "step" or torch.equal(value, states[1]["state"][index][name])


@pytest.mark.parametrize("base", ["adam", "adamax"])
def test_it_trains_and_the_checkpoint_translates(configure, data, tmp_path, base):
    options = ["--sage-base", base]
    options += "--max-tokens 300 --lr 0.02 --weight-decay 0.0001".split()
    losses = [
        train(configure, tmp_path / "run", *options, "--max-update", updates)["extra_state"][
            "val_loss"
        ]
        for updates in ("5", "60")
    ]
    assert losses[1] < losses[0] - 0.3
    arguments = f"--path {tmp_path}/run/checkpoint_last.pt --user-dir {USER_DIR} --cpu --beam 2"
    arguments += f" --results-path {tmp_path} --max-len-b 9 --required-batch-size-multiple 1"
    parser = get_generation_parser()
    args = parse_args_and_arch(parser, [data, *arguments.split(), "--num-workers", "0"])
    generate.main(convert_namespace_to_omegaconf(args))
    lines = (tmp_path / "generate-test.txt").read_text().splitlines()
    assert sum(line.startswith("H-") for line in lines) == 20


def test_it_trains_with_intra_distillation(trainer):
    built = trainer(*INTRA, "--alpha", "1", *SAGE)
    first, *_, last = (built.train_step([built.batches[0]])["loss"] for _ in range(20))
    assert last < first - 0.5


def test_hydra_builds_it(data, tmp_path):
    config = OmegaConf.load(CONFIGS / "multi30k" / "transformer.yaml")
    config.optimizer = {"_name": "sage", "sage_base": "adamax", "sage_beta2": 0.98}
    OmegaConf.save(config, tmp_path / "sage.yaml")
    run_module(
        "fairseq_cli.hydra_train",
        *["--config-dir", str(tmp_path), "--config-name", "sage"],
        *[f"{key}={value}" for key, value in SHORT_RUN.items()],
        *[f"common.user_dir={USER_DIR}", f"task.data={data}"],
        *[f"checkpoint.save_dir={tmp_path / 'run'}", "hydra.run.dir=."],
        cwd=tmp_path,
    )
    state = torch.load(tmp_path / "run" / "checkpoint_last.pt", weights_only=True)
    group = state["last_optimizer_state"]["param_groups"][0]
    assert (group["base"], group["betas"]) == ("adamax", (0.9, 0.98, 0.75))
    assert config_arguments(tmp_path / "sage.yaml", [])
