#!/usr/bin/env bash
# Multi30k De→En, step 3: translate a subset with a trained system's best checkpoint and score it.
#
#   bash scripts/multi30k/evaluate.sh SYSTEM [intra-distill evaluate's options…]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/environment.sh
source "$here/../environment.sh"
source "$here/paths.sh"

system=${1:?name a system of $configs, such as transformer or intra_x}
# shellcheck disable=SC2046
arguments=($(intra-distill args "$configs/$system.yaml" --generation))
intra-distill evaluate "$data/bin" --path "$runs/$system/checkpoint_best.pt" \
    --results-path "$runs/$system" "${arguments[@]}" "${@:2}"
