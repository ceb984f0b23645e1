#!/usr/bin/env bash
# Multi30k De→En, step 2: train one system of configs/multi30k. Run again, it resumes.
#
#   SEED=1 bash scripts/multi30k/train.sh SYSTEM [fairseq-train's options…]
recipe=multi30k
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

train "$@"
