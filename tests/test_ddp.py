"""torch's DDP around the model, as fairseq's --ddp-backend pytorch_ddp wraps it.

fairseq can start that backend on GPUs alone, so the test wraps the model itself; one process
shows that every gradient, the fused projection's too, reaches the reducer exactly once. Two
processes under legacy_ddp train in test_checkpoints.py.
"""

import pytest
import torch
from fairseq.distributed import ModuleProxyWrapper
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from .conftest import INTRA


@pytest.fixture
def process_group(tmp_path):
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("sharing", [[], ["--share-all-embeddings"]])
@pytest.mark.parametrize(
    "options",
    [
        ["--loss-implementation", "plain"],
        ["--loss-implementation", "fused"],
        ["--passes-in-memory", "1"],
        ["--passes-in-memory", "2"],
    ],
    ids=" ".join,
)
def test_gradients_reach_the_reducer(trainer, gradients, process_group, options, sharing):
    built = trainer(*INTRA, "--alpha", "1", *options, *sharing)
    sample = built.batches[0]
    loss, _, _, expected = gradients(built, sample)

    reduced = []
    ddp = DistributedDataParallel(built.model)
    ddp.register_comm_hook(None, lambda _, bucket: record(bucket, reduced))
    built._wrapped_model = ModuleProxyWrapper(ddp)
    for _ in range(2):  # DDP notices a parameter that was missing in the step before
        ddp_loss, _, _, grads = gradients(built, sample)
    torch.testing.assert_close(ddp_loss, loss)
    for name, gradient in grads.items():
        torch.testing.assert_close(gradient, expected[name.replace("module.", "")])
    parameters = sum(p.numel() for p in built.get_model().parameters())
    assert sum(reduced) == 2 * parameters


def record(bucket, reduced: list[int]) -> torch.futures.Future:
    reduced.append(bucket.buffer().numel())
    future = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future
