#!/usr/bin/env bash
# GLUE, Table 4 of the paper: prepares the data, fine-tunes and evaluates every system on every task,
# and ends with the table.
#
#   bash scripts/glue/run.sh [SOURCE, see prepare.sh]
#
# SYSTEMS, DATASETS and SEEDS choose others; scripts/grid.sh describes them, and runs on several GPUs
# or a cluster.
set -euo pipefail
export SYSTEMS=${SYSTEMS:-plain sage r_drop intra_x}
export DATASETS=${DATASETS:-cola sst-2 mrpc qqp sts-b mnli qnli rte}
exec bash "$(dirname "${BASH_SOURCE[0]}")/../grid.sh" glue "$@"
