"""Intra-distillation itself: it knows torch, and nothing of fairseq or of translation."""
