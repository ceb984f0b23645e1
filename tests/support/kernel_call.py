"""Small calls of the Triton kernel, for a memory checker: ``python -m tests.support.kernel_call``.

Each tensor ends where its memory ends, given PYTORCH_NO_CUDA_MEMORY_CACHING=1, so that a checker
sees what lies beyond.
"""

import torch

from intra_distill.core import fused_loss_triton
from intra_distill.core.divergence import OF_DISTRIBUTIONS


def call_kernel(device: str) -> None:
    """Call it for each divergence, on rows that are aligned and on rows that are not."""
    torch.manual_seed(1)
    for K, V, pitch in ((1, 70, 70), (3, 70, 70), (3, 70, 128), (3, 2049, 2112)):
        for divergence in OF_DISTRIBUTIONS if K > 1 else ["x"]:
            z = torch.randn(K, 2, pitch, device=device, dtype=torch.float16)[..., :V]
            gold = torch.tensor([0, V - 1], device=device)
            parts, gradient = fused_loss_triton.loss_and_gradient_(
                z, gold, 3.0, divergence, 0.1, K, 256.0
            )
            assert parts.isfinite().all() and gradient.isfinite().all()


if __name__ == "__main__":
    call_kernel("cuda")
    torch.cuda.synchronize()
