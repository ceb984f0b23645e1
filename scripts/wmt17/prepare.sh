#!/usr/bin/env bash
# WMT'17 En→De, step 1: Europarl, Common Crawl, News Commentary → a fairseq data directory.
#
#   bash scripts/wmt17/prepare.sh [SOURCE]
#
# SOURCE is a folder with the three archives, or the address of a mirror; without it they are
# fetched from statmt.org. newstest2014 comes from sacreBLEU.
recipe=wmt17
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

intra-distill wmt17 --destdir "$data/raw" --downloads "$data/downloads" ${1:+--source "$1"}
prepare --train "$data/raw/train" --test "$data/raw/test"
