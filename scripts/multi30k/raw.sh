# Sourced by the prepare.sh of recipes that take the text of Multi30k.

# shellcheck shell=bash disable=SC2154,SC2034
url=${MULTI30K_URL:-https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw}

# fetch FILE: downloads it to $raw/FILE
fetch() {
    [[ -s $raw/$1 ]] && return
    echo "fetching $url/$1.gz"
    if ! curl --fail --location --silent --show-error --retry 3 --output "$part.gz" "$url/$1.gz" ||
        ! gunzip --force "$part.gz"; then
        echo "prepare.sh: cannot fetch $url/$1.gz: put the raw files into a folder and name it" >&2
        exit 1
    fi
    mv "$part" "$raw/$1" # a file of that name is always complete
}

# multi30k_text FOLDER LANG…: puts into the array text the options that name the text in these
# languages, in the folder, or downloaded where that is empty, for all pairs of a recipe to share
multi30k_text() {
    local lang split
    raw=${1:-$all_data/raw}
    part=$raw/part.$$ # another pair may be fetched at the same time
    if [[ -z $1 ]]; then
        mkdir -p "$raw"
        trap 'rm -f "$part" "$part.gz"' EXIT
        for split in train val test_2016_flickr; do
            for lang in "${@:2}"; do fetch "$split.$lang"; done
        done
    fi
    text=(--train "$raw/train" --valid "$raw/val" --test "$raw/test_2016_flickr")
}

# multi30k_pair FOLDER: makes the data of the pair DATASET from that text
multi30k_pair() {
    require_dataset
    multi30k_text "$1" "${dataset%-*}" "${dataset#*-}"
    make_data prepare --source-lang "${dataset%-*}" --target-lang "${dataset#*-}" "${text[@]}"
}
