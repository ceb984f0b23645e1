#!/usr/bin/env bash
# IWSLT'14 Xx→En, iterated self-distillation as in Table 1 of the paper.
#
#   PAIR=de-en SEED=1 bash scripts/iwslt14/self_distill.sh ROUNDS
#
# Trains the plain transformer and then its students self_distillation_1, _2, …, each the next
# one's teacher.
recipe=iwslt14
: "${PAIR:?name a language pair: PAIR=de-en bash $0}"
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

self_distill "$@"
