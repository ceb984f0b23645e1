#!/usr/bin/env bash
# Data of Multi30k De→En: converts the raw text to a fairseq data directory.
#
#   bash scripts/multi30k/prepare.sh [FOLDER]
#
# FOLDER holds train, val and test_2016_flickr, each .de and .en, of the public Multi30k
# repository. Without FOLDER they are downloaded from there.
recipe=multi30k
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
# shellcheck source=scripts/multi30k/raw.sh
source "$root/scripts/multi30k/raw.sh"

multi30k_text "${1:-}" de en
make_data prepare "${text[@]}"
