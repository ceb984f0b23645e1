#!/usr/bin/env bash
# WMT'17 En→De, step 2: train one system of configs/wmt17. Run again, it resumes.
#
#   SEED=1 bash scripts/wmt17/train.sh SYSTEM [fairseq-train's options…]
recipe=wmt17
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

train "$@"
