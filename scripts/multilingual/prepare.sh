#!/usr/bin/env bash
# Data of Multi30k, six pairs in one model: converts the raw text to a fairseq data directory.
#
#   bash scripts/multilingual/prepare.sh [FOLDER]
#
# FOLDER holds train, val and test_2016_flickr, each .cs, .de, .en and .fr, of the public Multi30k
# repository. Without FOLDER they are downloaded from there.
recipe=multilingual
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
# shellcheck source=scripts/multi30k/raw.sh
source "$root/scripts/multi30k/raw.sh"

multi30k_text "${1:-}" cs de en fr
make_data prepare-multilingual "${text[@]}"
