"""Several ranks.

Two processes train as one does with ``--update-freq 2``, which sees the same batches: to the last
bit on a CPU, where halving a gradient and doubling it again is exact. Each batch has random
numbers of its own, whoever trains on it. fairseq starts ``pytorch_ddp`` on GPUs alone, because it
names the device to torch's DDP; here it keeps that to itself where there is none.
"""

import multiprocessing
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch._dynamo
from fairseq.distributed import utils as distributed_utils
from fairseq.models import distributed_fairseq_model
from fairseq.tasks import FairseqTask
from fairseq.trainer import Trainer
from torch.nn.parallel import DistributedDataParallel

from ..support.checkpoints import change_checkpoint, remove_half
from ..support.sentences import BERT, CLASSES, NUMBERS
from ..support.tokens import SPANS, TAGS, XLMR
from ..support.training import (
    INTRA,
    LSTM,
    PLAIN,
    SMOOTHED,
    TINY_TRANSFORMER,
    USER_DIR,
    assert_equal,
    run_training,
)

BIN = Path(sys.executable).parent
BACKENDS = ["legacy_ddp", "pytorch_ddp"]
TRANSFORMER = [*TINY_TRANSFORMER, "--attention-dropout", "0.1"]
SWITCH = ["--arch", "switch_transformer", *TRANSFORMER[2:]]
STUDENT = ["--criterion", "self_distillation", *SMOOTHED]  # and its teacher
BLEU = ["--eval-bleu", "--eval-bleu-args", '{"beam":1,"max_len_b":5}']
SETTINGS = [
    *"--max-tokens 350 --max-tokens-valid 60 --required-batch-size-multiple 1".split(),
    *"--max-update 0 --max-epoch 2".split(),
]  # five batches, of training and of validation: the last one, a small one, is for one rank alone


class Run(NamedTuple):
    gradients: list[list[dict[str, torch.Tensor]]]  # of each rank, of each update, by name
    checkpoint: dict[str, Any]

    def logged(self, *groups: str) -> dict[str, torch.Tensor]:
        """What it logged, at full precision: sums, and of what is no mean the last value."""
        figures = {"best": torch.tensor(self.checkpoint["extra_state"]["best"])}
        for group in groups or ("train", "train_inner", "valid"):
            for _, name, kind, meter in self.checkpoint["extra_state"]["metrics"][group]:
                if kind in ("AverageMeter", "SumMeter"):
                    figure = meter["sum" if meter.get("count", 1) > 0 else "val"]
                    figures[f"{group}/{name}"] = torch.as_tensor(figure, dtype=torch.float64)
        return figures


def train_rank(cfg: Any, gradients_path: Path) -> None:
    """One rank's training, in a process of its own."""
    torch.set_num_threads(1)
    train_step, clip_grad_norm = FairseqTask.train_step, Trainer.clip_grad_norm
    gradients = []

    def seeded(task, sample, *args, **kwargs):
        torch.manual_seed(hash(tuple(sample["id"].tolist())))
        return train_step(task, sample, *args, **kwargs)

    def recorded(trainer, clip_norm):
        parameters = trainer.get_model().named_parameters()
        none = torch.zeros_like  # of what LayerDrop left out
        gradients.append(
            {n: (none(p) if p.grad is None else p.grad.clone()).cpu() for n, p in parameters}
        )
        return clip_grad_norm(trainer, clip_norm)

    def on_cpu(device_ids, output_device, **options):
        return DistributedDataParallel(**options)

    FairseqTask.train_step, Trainer.clip_grad_norm = seeded, recorded
    if cfg.common.cpu:
        distributed_fairseq_model.DistributedDataParallel = on_cpu
    distributed_utils.call_main(cfg, run_training)
    torch.save(gradients, gradients_path)


@pytest.fixture
def train(configure, tmp_path) -> Callable[..., Run]:
    """The number of ranks, arguments of fairseq-train → what became of it."""
    # what has used CUDA cannot fork
    context = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")

    def train(name, ranks, *options, device="cpu", backend="gloo", **corpus):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        where = ["--save-dir", str(folder), "--distributed-world-size", str(ranks)]
        if ranks > 1:
            where += ["--distributed-no-spawn", "--distributed-backend", backend]
            where += ["--distributed-init-method", f"file://{folder / 'store'}"]
        cfg = configure(*SETTINGS, *options, *where, **{"model": TRANSFORMER, **corpus})
        cfg.common.cpu = device == "cpu"
        processes = []
        for rank in range(ranks):
            cfg.distributed_training.distributed_rank = rank
            cfg.distributed_training.device_id = rank if backend == "nccl" else 0
            arguments = (cfg, folder / f"gradients{rank}.pt")
            process = context.Process(target=train_rank, args=arguments, daemon=True)
            process.start()
            processes.append(process)
        for process in processes:
            process.join(300)
        assert [process.exitcode for process in processes] == [0] * ranks, name
        return Run(
            [torch.load(folder / f"gradients{rank}.pt") for rank in range(ranks)],
            torch.load(folder / "checkpoint_last.pt", weights_only=True),
        )

    return train


def assert_same(ours: Run, theirs: Run, *logged: str) -> None:
    for gradients in ours.gradients:
        assert_equal(gradients, theirs.gradients[0])
    for part in ("model", "last_optimizer_state"):
        assert_equal(ours.checkpoint[part], theirs.checkpoint[part])
    # sums over ranks are float64, those over batches float32
    torch.testing.assert_close(ours.logged(*logged), theirs.logged(*logged), rtol=1e-6, atol=0)


@pytest.fixture
def teacher(train, tmp_path) -> list[str]:
    train("teacher", 1, *PLAIN)
    return ["--teacher-path", str(tmp_path / "teacher" / "checkpoint_best.pt")]


@pytest.fixture
def pruned(train, tmp_path) -> list[str]:
    train("dense", 1, *PLAIN, "--share-all-embeddings")
    dense = tmp_path / "dense" / "checkpoint_last.pt"
    path = change_checkpoint(dense, tmp_path / "pruned.pt", remove_half)
    return ["--finetune-from-model", str(path)]


CASES = {
    "plain": ([*PLAIN, "--optimizer", "sage", "--sage-base", "adamax"], {}),
    "fused": ([*INTRA, "--optimizer", "sage"], {}),
    "fused, shared": ([*INTRA, "--share-all-embeddings", "--clip-norm", "0.1"], {}),
    "not fused": ([*INTRA, "--report-accuracy", "--divergence", "js"], {}),
    "one in memory": ([*INTRA, "--passes-in-memory", "1", "--track-sensitivity", "2"], {}),
    "simcut": (
        [*INTRA, "--cutoff", "0.2", "--divergence", "kl", "--supervised-passes", "1"],
        {},
    ),
    "one side, every second": ([*INTRA, "--passes-differ", "decoder", "--every", "2"], {}),
    "switch": ([*PLAIN, "--sentence-avg"], {"model": SWITCH}),
    "switch, fused": ([*INTRA, "--track-sensitivity", "1"], {"model": SWITCH}),
    "switch, one in memory": ([*INTRA, "--passes-in-memory", "1"], {"model": SWITCH}),
    "student": (STUDENT, {}),
    "lstm": ([*INTRA, *BLEU, "--passes-in-memory", "2"], {"model": LSTM}),
    "one batch": ([*INTRA, "--max-tokens", "40000"], {}),
    "pruned": ([*INTRA, "--keep-pruned", "--share-all-embeddings"], {}),
    "classes": ([*CLASSES, "--best-checkpoint-metric", "mcc"], {"model": BERT}),
    "numbers": ([*NUMBERS, "--divergence-reduction", "sum"], {"model": BERT}),
    "words": ([*TAGS, "--best-checkpoint-metric", "entity_f1"], {"model": XLMR}),
    "questions": ([*SPANS, "--divergence-reduction", "sum"], {"model": XLMR}),
}
# the fixtures that have their data
DATA = dict.fromkeys(["classes", "numbers"], "sentences")
DATA |= dict.fromkeys(["words", "questions"], "token_data")
STARTS = {"student": "teacher", "pruned": "pruned"}  # the fixtures whose arguments they need


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_are_one_process(train, inject, long_version, request, case):
    options, corpus = CASES[case]
    if case in STARTS:
        options = [*options, *request.getfixturevalue(STARTS[case])]
    if case in DATA:
        corpus = {**corpus, "data": request.getfixturevalue(DATA[case])[case]}
    one = train("one", 1, *options, "--update-freq", "2", **corpus)
    by_turns = BACKENDS[list(CASES).index(case) % 2]
    for backend in BACKENDS if long_version else [by_turns]:
        two = train(backend, 2, *options, "--ddp-backend", backend, **corpus)
        assert_same(two, one)
        inject()


def test_ranks_whose_layers_are_all_dropped_log_with_the_others(train, inject):
    """fairseq adds up by position what the ranks log: each has all figures, also without layers."""
    dropped = ["--encoder-layerdrop", "0.6", "--decoder-layerdrop", "0.6"]
    # after that they part: Adam moves what has a gradient of zero, and leaves alone what has none
    options = [*PLAIN, *dropped, "--ddp-backend", "legacy_ddp", "--max-update", "2"]
    one = train("one", 1, *options, "--update-freq", "2", model=SWITCH)
    two = train("two", 2, *options, model=SWITCH)
    assert_equal(two.gradients, one.gradients * 2)
    for name in ("load_balance", "expert_load_max", "dropped", "loss"):
        of_two, of_one = (run.logged("train")[f"train/{name}"] for run in (two, one))
        torch.testing.assert_close(of_two, of_one, rtol=1e-6, atol=0)
    meters = one.checkpoint["extra_state"]["metrics"]["train"]
    counts = {name: meter["count"] for _, name, kind, meter in meters if kind == "AverageMeter"}
    assert 0 < counts["load_balance"] < counts["nll_loss"]
    inject()


@pytest.mark.parametrize(
    "before, after, checkpoint",
    [(2, 2, "checkpoint_2_4"), (2, 1, "checkpoint1"), (1, 2, "checkpoint1")],
)
def test_a_run_resumes(train, inject, tmp_path, before, after, checkpoint):
    def run(name: str, ranks: int) -> Run:
        together = ["--update-freq", str(2 // ranks), "--ddp-backend", "legacy_ddp"]
        return train(name, ranks, *options, *together)

    options = [*INTRA, "--optimizer", "sage", "--save-interval-updates", "2"]
    whole = run("whole", before)
    (tmp_path / "resumed").mkdir()
    shutil.copy(tmp_path / f"whole/{checkpoint}.pt", tmp_path / "resumed/checkpoint_last.pt")
    resumed = run("resumed", after)
    inject()
    remaining = len(resumed.gradients[0])
    assert remaining == {"checkpoint_2_4": 2, "checkpoint1": 3}[checkpoint]
    # fairseq keeps sums of the last validation alone; "best" is in what is compared
    rest = Run([gradients[-remaining:] for gradients in whole.gradients], whole.checkpoint)
    assert_same(resumed, rest, "train", "train_inner")


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_of_several_batches_add_up_before_they_are_sent(train, inject, backend):
    """To rounding: two by two is another order of addition than one by one.

    Of the epoch's last update one rank has but one batch.
    """
    options = [*INTRA, "--passes-in-memory", "2", "--max-tokens", "220"]
    one = train("one", 1, *options, "--update-freq", "4")
    two = train("two", 2, *options, "--update-freq", "2", "--ddp-backend", backend)
    inject()
    torch.testing.assert_close(two.gradients, one.gradients * 2)
    torch.testing.assert_close(two.logged(), one.logged())


def test_unused_parameters_can_be_looked_for(train, inject):
    """torch's DDP follows the model's output, where the fused loss has no projection yet."""
    one = train("one", 1, *INTRA, "--update-freq", "2", "--loss-implementation", "plain")
    two = train("two", 2, *INTRA, "--find-unused-parameters")
    assert_same(two, one)
    inject()


def draw(rng: random.Random) -> tuple[list[str], list[str]]:
    """Options of an intra-distilled run, and of its model."""
    K = rng.choice([1, 2, 3, 5])
    model = rng.choice([TRANSFORMER, SWITCH, LSTM])
    alpha = rng.choice(["0.5", "5"]) if K > 1 else "0"
    options = [*INTRA, "--num-passes", str(K), "--passes-in-memory", str(rng.randint(1, K))]
    options += ["--alpha", alpha, "--divergence", rng.choice(["x", "js", "kl"])]
    options += ["--max-tokens", str(rng.randint(150, 900)), "--update-epoch-batch-itr", "True"]
    options += ["--ddp-backend", rng.choice(BACKENDS), "--seed", str(rng.randint(1, 10**6))]
    if model is not LSTM and rng.random() < 0.5:
        options += ["--optimizer", "sage", "--sage-base", rng.choice(["adam", "adamax"])]
    for option in (
        ["--constant-alpha"],
        ["--loss-implementation", "plain"],
        ["--sentence-avg"],
        ["--report-accuracy"],
        ["--ignore-prefix-size", "1"],
        ["--share-all-embeddings"],
        ["--clip-norm", "0.1"],
        ["--track-sensitivity", "2"],
        *[["--cutoff", "0.1"], ["--every", "2"], ["--supervised-passes", "1"]][: 3 * (K > 1)],
        ["--gradient-as-bucket-view"],
    ):
        options += option if rng.random() < 0.3 else []
    return options, model


def test_any_options(train, inject, times):
    rng = random.Random(1)
    for number in range(times(2, 40)):
        options, model = draw(rng)
        print(*options, *model)
        one = train(f"one{number}", 1, *options, "--update-freq", "2", model=model)
        assert_same(train(f"two{number}", 2, *options, model=model), one)
        inject()


@pytest.mark.gpu
@pytest.mark.parametrize("case", ["fused", "one in memory", "switch, fused", "student"])
@pytest.mark.parametrize("ddp", BACKENDS)
@pytest.mark.parametrize("backend", ["gloo", "nccl"])
def test_two_ranks_are_one_process_on_gpus(train, inject, request, case, ddp, backend):
    """With gloo on one GPU; to rounding, for on a GPU sums have no order."""
    if backend == "nccl" and torch.cuda.device_count() < 2:
        pytest.skip("NCCL wants a GPU for each rank")
    options, model = CASES[case]
    if case == "student":
        options = [*options, *request.getfixturevalue("teacher")]
    one = train("one", 1, *options, "--update-freq", "2", **model, device="cuda")
    options = [*options, "--ddp-backend", ddp]
    two = train("two", 2, *options, **model, device="cuda", backend=backend)
    for gradients in two.gradients:
        torch.testing.assert_close(gradients[0], one.gradients[0][0], rtol=1e-4, atol=1e-5)
    for name in ("train/loss", "train/nll_loss", "valid/loss", "best"):
        torch.testing.assert_close(two.logged()[name], one.logged()[name], rtol=1e-2, atol=0)
    inject()


def test_torchrun_starts_the_ranks(data, tmp_path, inject):
    """As in the README; on a CPU fairseq has to be told what on GPUs it takes from torchrun."""
    command = [f"{BIN}/torchrun", "--standalone", "--nproc-per-node", "2"]
    options = [data, "--user-dir", USER_DIR, *INTRA, *TRANSFORMER, *SETTINGS]
    options += "--optimizer adam --lr 0.01 --dropout 0.2 --num-workers 0".split()
    options += ["--save-dir", str(tmp_path)]
    if torch.cuda.device_count() < 2:
        ranked = f'{BIN}/fairseq-train "$@" --distributed-rank "$RANK"'
        command += ["--no-python", "bash", "-c", ranked, "bash"]
        options += "--cpu --distributed-world-size 2 --distributed-no-spawn".split()
        options += "--ddp-backend legacy_ddp --distributed-backend gloo".split()
        options += ["--distributed-init-method", "env://"]
    else:
        command += [f"{BIN}/fairseq-train"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([*command, *options], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("training on 2 devices") == 1
    state = torch.load(tmp_path / "checkpoint_last.pt", weights_only=True)
    assert state["optimizer_history"][-1]["num_updates"] == 6
    inject()
