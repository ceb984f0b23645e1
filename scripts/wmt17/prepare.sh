#!/usr/bin/env bash
# Data of WMT'17 En→De: converts Europarl, Common Crawl and News Commentary to a fairseq data
# directory, with newstest2014 from sacreBLEU as its test set.
#
#   bash scripts/wmt17/prepare.sh [SOURCE]
#
# SOURCE is a folder with the three archives, or the address of a mirror. Without SOURCE they are
# downloaded from statmt.org.
recipe=wmt17
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

intra-distill wmt17 --destdir "$data/raw" --downloads "$data/downloads" ${1:+--source "$1"}
make_data prepare --train "$data/raw/train" --test "$data/raw/test"
