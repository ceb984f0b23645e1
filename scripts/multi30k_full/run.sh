#!/usr/bin/env bash
# Multi30k Xx→Yy in full, on a GPU: prepares the data, trains and evaluates every system on every pair,
# and ends with the table.
#
#   bash scripts/multi30k_full/run.sh [FOLDER with the raw text, see prepare.sh]
#
# SYSTEMS, DATASETS and SEEDS choose others; scripts/grid.sh describes them. JOBS runs share a GPU.
set -euo pipefail
export SYSTEMS=${SYSTEMS:-transformer r_drop intra_js intra_x}
export DATASETS=${DATASETS:-de-en fr-en cs-en en-de en-fr en-cs}
exec bash "$(dirname "${BASH_SOURCE[0]}")/../grid.sh" multi30k_full "$@"
