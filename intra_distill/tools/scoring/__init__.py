"""From a checkpoint to a result: test set, beam search, metrics, evaluation."""
