#!/usr/bin/env bash
# Data of TyDiQA-GoldP: the English questions to train on and a test set of each language, as a data
# directory in XLM-R's vocabulary. Makes the pretrained model where it is missing.
#
#   bash scripts/tydiqa/prepare.sh [SOURCE]
#
# SOURCE is a folder with TyDiQA's two files, or the address of a mirror; or a folder of questions in
# SQuAD's format, such as `intra-distill xquad` makes: train.json, valid.json and a test-NAME.json for
# each test set. Without SOURCE the files are downloaded.
recipe=tydiqa
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

require_dataset
raw=$data/raw
if [[ -n ${1:-} && -e $1/train.json ]]; then
    raw=$1
else
    intra-distill tydiqa --destdir "$raw" --downloads "$data/downloads" ${1:+--source "$1"}
fi
make_pretrained --size base
# shellcheck disable=SC2154  # of scripts/pretrained.sh
make_data prepare-spans "$raw" --xlmr "$pretrained"
