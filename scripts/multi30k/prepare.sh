#!/usr/bin/env bash
# Data of Multi30k Xx→Yy: converts the raw text to a fairseq data directory for one pair.
#
#   DATASET=de-en bash scripts/multi30k/prepare.sh [FOLDER]
#
# DATASET is de-en, fr-en, cs-en, en-de, en-fr or en-cs. FOLDER holds train, val and test_2016_flickr,
# each in both languages (train.de, train.en, …), of the public Multi30k repository. Without FOLDER
# they are downloaded from there, each once for all pairs.
recipe=multi30k
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"
# shellcheck source=scripts/multi30k/raw.sh
source "$root/scripts/multi30k/raw.sh"

multi30k_pair "${1:-}"
