# Sourced by scripts/recipe.sh: what is of TyDiQA alone. scripts/pretrained.sh lists the variables XLMR
# and XLMR_SOURCE.

# shellcheck shell=bash disable=SC2154,SC2034
encoder=xlmr
# shellcheck source=scripts/pretrained.sh
source "$root/scripts/pretrained.sh"
chosen=checkpoint_last.pt # nothing selects among the epochs, as in the authors' code
