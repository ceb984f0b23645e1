#!/usr/bin/env bash
# WikiAnn NER, Tables 5 and 7 of the paper: prepares the data, fine-tunes every system on English and evaluates it
# in 48 languages, and ends with the table.
#
#   bash scripts/panx/run.sh [SOURCE, see prepare.sh]
#
# SYSTEMS and SEEDS choose others, the paper has five seeds; scripts/grid.sh describes them, and runs on
# several GPUs or a cluster.
set -euo pipefail
export SYSTEMS=${SYSTEMS:-plain intra_x}
exec bash "$(dirname "${BASH_SOURCE[0]}")/../grid.sh" panx "$@"
