#!/usr/bin/env bash
# IWSLT'14 Xx→En, step 2: train one system of configs/iwslt14. Run again, it resumes.
#
#   PAIR=de-en SEED=1 bash scripts/iwslt14/train.sh SYSTEM [fairseq-train's options…]
recipe=iwslt14
: "${PAIR:?name a language pair: PAIR=de-en bash $0}"
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

train "$@"
