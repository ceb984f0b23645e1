#!/usr/bin/env bash
# WMT'17 En→De, iterated self-distillation as in Table 1 of the paper.
#
#   SEED=1 bash scripts/wmt17/self_distill.sh ROUNDS
#
# Trains the plain transformer and then its students self_distillation_1, _2, …, each the next
# one's teacher.
recipe=wmt17
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

self_distill "$@"
