#!/usr/bin/env bash
# Data of IWSLT'14 Xx→En: converts the official release to a fairseq data directory for one pair.
#
#   PAIR=de-en bash scripts/iwslt14/prepare.sh [SOURCE]
#
# PAIR is ar-en, de-en, es-en, fa-en, he-en, it-en, nl-en or pl-en. SOURCE is the archive of the
# release (all pairs or one), a folder that holds it, or its address on a mirror. Without SOURCE the
# archive is downloaded where that needs no browser; otherwise a message says where to get it.
recipe=iwslt14
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

require_pair
intra-distill iwslt14 --pair "$PAIR" --destdir "$data/raw" \
    --downloads "$(dirname "$data")/downloads" ${1:+--source "$1"}
prepare --source-lang "${PAIR%-*}" --target-lang "${PAIR#*-}" \
    --train "$data/raw/train" --test "$data/raw/test"
