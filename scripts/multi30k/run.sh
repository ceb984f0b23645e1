#!/usr/bin/env bash
# Multi30k De→En, all steps: the plain transformer against intra-distillation, as a table.
#
#   bash scripts/multi30k/run.sh [FOLDER with the raw text, see prepare.sh]
recipe=multi30k
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

bash "$root/scripts/$recipe/prepare.sh" "$@"
compare transformer intra_x
