#!/usr/bin/env bash
# Multi30k De→En, step 2: train one system. Started again, it resumes or skips what is done.
#
#   bash scripts/multi30k/train.sh SYSTEM [fairseq-train's options…]
#
# SYSTEM is a file of configs/multi30k: transformer, intra_x
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/environment.sh
source "$here/../environment.sh"
source "$here/paths.sh"

system=${1:?name a system of $configs, such as transformer or intra_x}
run=$runs/$system
if [[ -e $run/trained ]]; then
    echo "$run is trained already"
    exit
fi
mkdir -p "$run"
# shellcheck disable=SC2046
arguments=($(intra-distill args "$configs/$system.yaml"))
fairseq-train "$data/bin" --user-dir "$(intra-distill user-dir)" "${arguments[@]}" \
    --save-dir "$run" "${@:2}" 2>&1 | tee -a "$run/train.log"
touch "$run/trained"
