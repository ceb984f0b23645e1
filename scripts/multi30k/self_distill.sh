#!/usr/bin/env bash
# Multi30k De→En, iterated self-distillation as in Table 1 of the paper.
#
#   SEED=1 bash scripts/multi30k/self_distill.sh ROUNDS
#
# Trains the plain transformer and then its students self_distillation_1, _2, …, each the next
# one's teacher.
recipe=multi30k
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

self_distill "$@"
