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

url=${MULTI30K_URL:-https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw}

# fetch FILE: downloads it to $raw/FILE
fetch() {
    [[ -s $raw/$1 ]] && return
    echo "fetching $url/$1.gz"
    if ! curl --fail --location --silent --show-error --retry 3 --output "$raw/part.gz" "$url/$1.gz" ||
        ! gunzip --force "$raw/part.gz"; then
        echo "prepare.sh: cannot fetch $url/$1.gz: put the raw files into a folder and name it" >&2
        exit 1
    fi
    mv "$raw/part" "$raw/$1" # a file of that name is always complete
}

raw=${1:-$data/raw}
if [[ $# == 0 ]]; then
    mkdir -p "$raw"
    trap 'rm -f "$raw/part" "$raw/part.gz"' EXIT
    for file in {train,val,test_2016_flickr}.{de,en}; do fetch "$file"; done
fi
make_data prepare --train "$raw/train" --valid "$raw/val" --test "$raw/test_2016_flickr"
