#!/usr/bin/env bash
# Multi30k Xx→Yy on a CPU: prepares the data, trains and evaluates the plain transformer and
# intra-distillation on De→En, and ends with the table.
#
#   bash scripts/multi30k/run.sh [FOLDER with the raw text, see prepare.sh]
#
# SYSTEMS, DATASETS and SEEDS choose others; scripts/grid.sh describes them.
set -euo pipefail
export SYSTEMS=${SYSTEMS:-transformer intra_x} DATASETS=${DATASETS:-de-en}
exec bash "$(dirname "${BASH_SOURCE[0]}")/../grid.sh" multi30k "$@"
