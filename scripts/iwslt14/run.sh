#!/usr/bin/env bash
# IWSLT'14 Xx→En, all steps: Table 2 of the paper.
#
#   bash scripts/iwslt14/run.sh [SOURCE, see prepare.sh]
#
# SYSTEMS, PAIRS and SEEDS name fewer or more; scripts/grid.sh tells how they are run on several
# GPUs and on a cluster.
set -euo pipefail
export SYSTEMS=${SYSTEMS:-transformer sage r_drop switch intra_js intra_x}
export PAIRS=${PAIRS:-ar-en de-en es-en fa-en he-en it-en nl-en pl-en}
exec bash "$(dirname "${BASH_SOURCE[0]}")/../grid.sh" iwslt14 "$@"
