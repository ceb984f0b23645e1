"""From a checkpoint to a result: test set, search or prediction, metrics, evaluation."""
