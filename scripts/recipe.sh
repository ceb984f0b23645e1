# Sourced by the steps of a recipe, after setting recipe=NAME: its paths and its steps.
#
#   DATA   where the data goes (default: data/NAME)
#   RUNS   one folder per system, with its checkpoints, log and scores (default: runs/NAME)

# shellcheck shell=bash disable=SC2154
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
configs=$root/configs/$recipe
data=${DATA:-$root/data/$recipe}
runs=${RUNS:-$root/runs/$recipe}
export PYTHONWARNINGS=ignore  # hydra's and torch's, of how fairseq uses them

# prepare TRAIN VALID TEST: the text of three prefixes → the data directory $data/bin
prepare() {
    local options
    options=$(intra-distill args "$configs/prepare.yaml")
    # shellcheck disable=SC2086  # no option has a space in it: `intra-distill args` sees to that
    intra-distill prepare $options --train "$1" --valid "$2" --test "$3" --destdir "$data/bin"
}

# train SYSTEM [OPTION…]: a run that was stopped is resumed, one that is finished is left alone
train() {
    local run=$runs/${1:?name a system: $(systems)} options
    if [[ -e $run/trained ]]; then
        echo "$run is trained already"
        return
    fi
    options=$(intra-distill args "$configs/$1.yaml")
    mkdir -p "$run"
    # shellcheck disable=SC2086
    fairseq-train "$data/bin" --user-dir "$(intra-distill user-dir)" $options \
        --save-dir "$run" "${@:2}" 2>&1 | tee -a "$run/train.log"
    touch "$run/trained"
}

# evaluate SYSTEM [OPTION…]: translate the test set with the best checkpoint and score it
evaluate() {
    local run=$runs/${1:?name a system: $(systems)} options
    options=$(intra-distill args "$configs/$1.yaml" --generation)
    # shellcheck disable=SC2086
    intra-distill evaluate "$data/bin" --path "$run/checkpoint_best.pt" --results-path "$run" \
        $options "${@:2}"
}

# compare SYSTEM…: train and evaluate each, against the first, and print the table
compare() {
    local system results=()
    for system in "$@"; do
        echo "== $system"
        train "$system"
        evaluate "$system" ${results:+--baseline "${results[0]}"}
        results+=("$runs/$system/test.json")
    done
    intra-distill table "${results[@]}"
}

systems() {
    basename -s .yaml "$configs"/*.yaml | grep -v prepare | paste -sd ' '
}
