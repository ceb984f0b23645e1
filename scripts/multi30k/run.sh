#!/usr/bin/env bash
# Multi30k De→En, all steps: prepare, train and evaluate the systems, and put them into a table.
#
#   bash scripts/multi30k/run.sh [FOLDER with the raw files]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/environment.sh
source "$here/../environment.sh"
source "$here/paths.sh"

bash "$here/prepare.sh" "$@"
bash "$here/train.sh" transformer
bash "$here/evaluate.sh" transformer
bash "$here/train.sh" intra_x
bash "$here/evaluate.sh" intra_x --baseline "$runs/transformer/test.json"
intra-distill table "$runs"/{transformer,intra_x}/test.json
