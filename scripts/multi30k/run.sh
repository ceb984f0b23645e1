#!/usr/bin/env bash
# Multi30k De→En, all steps: the plain transformer against intra-distillation, as a table.
#
#   bash scripts/multi30k/run.sh [FOLDER with the raw text, see prepare.sh]
#
# SYSTEMS and SEEDS name others; scripts/grid.sh tells how they are run.
set -euo pipefail
export SYSTEMS=${SYSTEMS:-transformer intra_x}
exec bash "$(dirname "${BASH_SOURCE[0]}")/../grid.sh" multi30k "$@"
