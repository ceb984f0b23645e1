#!/usr/bin/env bash
# IWSLT'14 Xx→En, step 1: the official release → a fairseq data directory for one pair.
#
#   PAIR=de-en bash scripts/iwslt14/prepare.sh [SOURCE]
#
# PAIR is ar-en, de-en, es-en, fa-en, he-en, it-en, nl-en or pl-en. SOURCE is the release's
# archive (all pairs or one), a folder that holds it, or its address on a mirror; without it the
# archive is fetched where that takes no browser, and otherwise you are told where to get it.
recipe=iwslt14
: "${PAIR:?name a language pair: PAIR=de-en bash $0}"
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

intra-distill iwslt14 --pair "$PAIR" --destdir "$data/raw" \
    --downloads "$(dirname "$data")/downloads" ${1:+--source "$1"}
prepare --source-lang "${PAIR%-*}" --target-lang "${PAIR#*-}" \
    --train "$data/raw/train" --test "$data/raw/test"
