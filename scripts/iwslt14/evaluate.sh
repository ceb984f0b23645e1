#!/usr/bin/env bash
# IWSLT'14 Xx→En, step 3: translate the test set with a trained system and score it.
#
#   PAIR=de-en SEED=1 bash scripts/iwslt14/evaluate.sh SYSTEM [intra-distill evaluate's options…]
recipe=iwslt14
: "${PAIR:?name a language pair: PAIR=de-en bash $0}"
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

evaluate "$@"
