#!/usr/bin/env bash
# WMT'17 En→De, all steps: Table 3 of the paper.
#
#   bash scripts/wmt17/run.sh [SOURCE, see prepare.sh]
#
# SYSTEMS and SEEDS name fewer or more; scripts/grid.sh tells how they are run on several GPUs
# and on a cluster.
set -euo pipefail
export SYSTEMS=${SYSTEMS:-transformer sage r_drop switch intra_x}
exec bash "$(dirname "${BASH_SOURCE[0]}")/../grid.sh" wmt17 "$@"
