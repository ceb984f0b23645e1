# Sourced by scripts/recipe.sh: what is of GLUE alone. scripts/pretrained.sh lists the variables BERT and
# BERT_SOURCE.

# shellcheck shell=bash disable=SC2154,SC2034
encoder=bert
# shellcheck source=scripts/pretrained.sh
source "$root/scripts/pretrained.sh"

columns_of() {
    case $1 in
    mnli) echo mnli-m,mnli-mm ;; # matched and mismatched
    *) echo "$1" ;;
    esac
}
