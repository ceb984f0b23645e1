#!/usr/bin/env bash
# From a bare machine with Python ≥ 3.11 and gcc to a comparison: a plain transformer and an
# intra-distilled one on a small made-up German–English corpus. Run again, it goes on where it was.
recipe=quickstart
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"

intra-distill toy-corpus --destdir "$data/raw"
prepare --train "$data/raw/train" --valid "$data/raw/valid" --test "$data/raw/test"
compare transformer intra_x
