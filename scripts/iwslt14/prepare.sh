#!/usr/bin/env bash
# Data of IWSLT'14 Xx→En: converts the official release to a fairseq data directory for one pair.
#
#   DATASET=de-en bash scripts/iwslt14/prepare.sh [SOURCE]
#
# DATASET is ar-en, de-en, es-en, fa-en, he-en, it-en, nl-en or pl-en. SOURCE is the archive of the
# release (all pairs or one), a folder that holds it, or its address on a mirror. Without SOURCE the
# archive is downloaded where that needs no browser; otherwise a message says where to get it.
recipe=iwslt14
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

require_dataset
intra-distill iwslt14 --pair "$dataset" --destdir "$data/raw" \
    --downloads "$all_data/downloads" ${1:+--source "$1"}
make_data prepare --source-lang "${dataset%-*}" --target-lang "${dataset#*-}" \
    --train "$data/raw/train" --test "$data/raw/test"
