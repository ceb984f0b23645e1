#!/usr/bin/env bash
# Multi30k, six pairs in one model, on a CPU: prepares the data, trains the plain transformer and
# intra-distillation, evaluates them on each pair, and ends with the table.
#
#   bash scripts/multilingual/run.sh [FOLDER with the raw text, see prepare.sh]
#
# SYSTEMS and SEEDS choose others; scripts/grid.sh describes them.
set -euo pipefail
export SYSTEMS=${SYSTEMS:-transformer intra_x}
exec bash "$(dirname "${BASH_SOURCE[0]}")/../grid.sh" multilingual "$@"
