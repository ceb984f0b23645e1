#!/usr/bin/env bash
# From a bare machine with Python ≥ 3.11 and gcc to a comparison: makes a small German–English-like
# corpus, trains a plain and an intra-distilled transformer on it and prints their table. Run again,
# it resumes.
#
#   bash scripts/quickstart.sh
recipe=quickstart
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"

intra-distill toy-corpus --destdir "$data/raw"
make_data prepare --train "$data/raw/train" --valid "$data/raw/valid" --test "$data/raw/test"
results=()
for system in transformer intra_x; do
    echo "== $system"
    train "$system"
    evaluate "$system" ${results:+--baseline "${results[0]}"}
    results+=("$(result_of "$system")")
done
intra-distill table "${results[@]}"
