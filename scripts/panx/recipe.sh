# Sourced by scripts/recipe.sh: what is of WikiAnn alone. scripts/pretrained.sh lists the variables XLMR
# and XLMR_SOURCE.
#
#   LANGUAGES    the languages to test on, separated by spaces (default: all 48)
#   TEST_SPLIT   the split of WikiAnn to test on, test or dev (default: test)

# shellcheck shell=bash disable=SC2154,SC2034
encoder=xlmr
# shellcheck source=scripts/pretrained.sh
source "$root/scripts/pretrained.sh"
