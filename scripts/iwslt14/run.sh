#!/usr/bin/env bash
# IWSLT'14 Xx→En, Table 2 of the paper: prepares the data, trains and evaluates every system on every
# pair, and ends with the table.
#
#   bash scripts/iwslt14/run.sh [SOURCE, see prepare.sh]
#
# SYSTEMS, DATASETS and SEEDS choose others; scripts/grid.sh describes them, and runs on several GPUs
# or a cluster.
set -euo pipefail
export SYSTEMS=${SYSTEMS:-transformer sage r_drop switch intra_js intra_x}
export DATASETS=${DATASETS:-ar-en de-en es-en fa-en he-en it-en nl-en pl-en}
exec bash "$(dirname "${BASH_SOURCE[0]}")/../grid.sh" iwslt14 "$@"
