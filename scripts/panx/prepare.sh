#!/usr/bin/env bash
# Data of WikiAnn NER: the English training text and a test set of each language, as a data directory in
# XLM-R's vocabulary. Makes the pretrained model where it is missing.
#
#   bash scripts/panx/prepare.sh [SOURCE]
#
# SOURCE is WikiAnn's archive, its address on a mirror, or a folder with its files; or a folder of text of
# your own: train.tsv, valid.tsv and a test-NAME.tsv for each test set. Without SOURCE the archive is
# downloaded. scripts/panx/recipe.sh lists the variables LANGUAGES and TEST_SPLIT.
recipe=panx
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

require_dataset
raw=$data/raw
if [[ -n ${1:-} && -e $1/train.tsv ]]; then
    raw=$1
else
    words languages "${LANGUAGES:-}"
    intra-distill panx --destdir "$raw" --downloads "$data/downloads" ${1:+--source "$1"} \
        ${languages:+--languages "$(list "${languages[@]}")"} \
        ${TEST_SPLIT:+--test-split "$TEST_SPLIT"}
fi
make_pretrained --size large
# shellcheck disable=SC2154  # of scripts/pretrained.sh
make_data prepare-tags "$raw" --xlmr "$pretrained"
