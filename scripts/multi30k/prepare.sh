#!/usr/bin/env bash
# Multi30k De→En, step 1: the raw files → a fairseq data directory.
#
#   bash scripts/multi30k/prepare.sh [FOLDER]
#
# FOLDER holds train.de, train.en, val.de, … of the public Multi30k repository; without it they
# are fetched from there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/environment.sh
source "$here/../environment.sh"
source "$here/paths.sh"

url=${MULTI30K_URL:-https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw}
raw=${1:-$data/raw}
if [[ $# == 0 ]]; then
    mkdir -p "$raw"
    for name in {train,val,test_2016_flickr}.{de,en}; do
        [[ -s $raw/$name ]] && continue
        curl --fail --location --silent --show-error --retry 3 "$url/$name.gz" | gunzip >"$raw/$name.part" || {
            echo "prepare: cannot fetch $url/$name.gz: put the raw files into a folder and name it" >&2
            exit 1
        }
        mv "$raw/$name.part" "$raw/$name"
    done
fi
# shellcheck disable=SC2046  # one word per argument is what `intra-distill args` prints
intra-distill prepare $(intra-distill args "$configs/prepare.yaml") \
    --train "$raw/train" --valid "$raw/val" --test "$raw/test_2016_flickr" --destdir "$data/bin"
