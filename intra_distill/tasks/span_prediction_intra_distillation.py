"""The span of a passage that answers a question, trained with K passes."""

import re
from dataclasses import dataclass
from typing import Any

from fairseq.data import FairseqDataset, RawLabelDataset
from fairseq.tasks import register_task
from torch import Tensor, nn

from ..errors import refuse
from .half_precision import HalfPrecisionConfig, HalfPrecisionTask
from .intra_distillation import IntraDistillationConfig, IntraDistillationTask
from .keep_pruned import KeepPrunedConfig, KeepPrunedTask
from .token_prediction import TokenPredictionConfig, TokenPredictionTask

MASKED = -1e4  # −∞ would make the divergence NaN; exp(−1e4) is 0 in float32 too


@dataclass
class SpanPredictionIntraDistillationConfig(
    IntraDistillationConfig, HalfPrecisionConfig, KeepPrunedConfig, TokenPredictionConfig
):
    pass


@register_task(
    "span_prediction_intra_distillation", dataclass=SpanPredictionIntraDistillationConfig
)
class SpanPredictionIntraDistillationTask(
    IntraDistillationTask, HalfPrecisionTask, KeepPrunedTask, TokenPredictionTask
):
    """Predicts the first and the last piece of an answer.

    An input is ``<s> question </s> </s> window </s>``, with a window of a passage. Two
    distributions are over its positions: that of the first piece, and that of the last. Where the
    window has no answer, both are at ``<s>``.

    Raises:
        SystemExit: with one line, for data or a model that does not fit
    """

    HEAD, MADE_BY = "span", "intra-distill prepare-spans"

    @property
    def num_outputs(self) -> int:
        return 2

    def load_targets(self, split: str, inputs: FairseqDataset) -> FairseqDataset:
        path = self._file("label", f"{split}.label")
        lines = path.read_text("utf-8").splitlines()
        if len(lines) != len(inputs):
            refuse(f"{path} has {len(lines)} lines for {len(inputs)} inputs")
        spans = []
        for number, (line, size) in enumerate(zip(lines, inputs.sizes, strict=True), start=1):
            span = [int(word) for word in line.split() if re.fullmatch(r"\d{1,9}", word)]
            if len(span) != 2 or not span[0] <= span[1] < size or len(line.split()) != 2:
                refuse(f"{path}, line {number}: {line[:80]!r} are not two of {size} positions")
            if not self.allowed(inputs[number - 1][None])[0, span].all():
                refuse(f"{path}, line {number}: {line} is not within the window of the passage")
            spans.append(span)
        return RawLabelDataset(spans)

    def allowed(self, src_tokens: Tensor) -> Tensor:
        """Where an answer may begin and end: in the window, and at <s> where there is none.

        Args:
            src_tokens: (B, T)
        Returns:
            (B, T)
        """
        ends = src_tokens.eq(self.dictionary.eos())
        allowed = ends.cumsum(dim=1).eq(2) & ~ends
        allowed[:, 0] = True
        return allowed

    def predict(self, model: nn.Module, sample: dict[str, Any]) -> Tensor:
        """The logits of the first and the last piece at all positions, (B, T, 2)."""
        logits, _ = model(**sample["net_input"], token_head_name=self.HEAD)
        allowed = self.allowed(sample["net_input"]["src_tokens"])
        return logits.masked_fill(~allowed.unsqueeze(-1), MASKED)

    def rows(self, model: nn.Module, sample: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """What is scored: two rows, of the first and the last piece, for each input of each pass.

        Returns:
            logits (K·2B, T), and their targets, (K·2B,)
        """
        logits = self.predict(model, sample).transpose(1, 2)  # (K·B, 2, T)
        return logits.flatten(0, 1), sample["target"].flatten()
