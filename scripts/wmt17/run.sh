#!/usr/bin/env bash
# WMT'17 En→De, Table 3 of the paper: prepares the data, trains and evaluates every system, and ends
# with the table.
#
#   bash scripts/wmt17/run.sh [SOURCE, see prepare.sh]
#
# SYSTEMS and SEEDS choose others; scripts/grid.sh describes them, and runs on several GPUs or a
# cluster.
set -euo pipefail
export SYSTEMS=${SYSTEMS:-transformer sage r_drop switch intra_x}
exec bash "$(dirname "${BASH_SOURCE[0]}")/../grid.sh" wmt17 "$@"
