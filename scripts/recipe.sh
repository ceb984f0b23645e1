# Sourced by the scripts, after recipe=NAME: the paths of a recipe, and its steps as functions.
#
#   PAIR       SOURCE-TARGET, in a recipe with several language pairs
#   SEED       seed of the run (default: 1)
#   DATA       folder of the data (default: data/NAME)
#   RUNS       folder of the runs, each in [PAIR/]SYSTEM/seedSEED (default: runs/NAME)
#   OVERRIDES  GROUP.KEY=VALUE …, values that replace those of every system
#   PREPARE    options of `intra-distill prepare` that replace those of its configuration
#   LAUNCHER   command that starts training, such as "torchrun --nproc-per-node 8" (default: none)
#
# A SYSTEM is a configuration in configs/NAME, with values changed where its name says so:
# intra_x+task.num_passes=5+criterion.alpha=1. `intra-distill args` reads such names.

# shellcheck shell=bash disable=SC2154
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
configs=$root/configs/$recipe
if [[ ! -f $configs/prepare.yaml ]]; then
    recipes=$(cd "$root/configs" && printf ', %s' */prepare.yaml)
    recipes=${recipes//\/prepare.yaml/}
    echo "$(basename "$0"): ${recipe:+$recipe is no recipe; }name a recipe: ${recipes#, }" >&2
    exit 2
fi
data=${DATA:-$root/data/$recipe}${PAIR:+/$PAIR}
runs=${RUNS:-$root/runs/$recipe}${PAIR:+/$PAIR}
seed=${SEED:-1}
unset config # see train
export PYTHONWARNINGS=ignore # hydra and torch warn about the way fairseq uses them

# require_pair: a recipe whose configurations name no source language needs PAIR
require_pair() {
    if [[ -z ${PAIR:-} ]] && grep -q "source_lang: ???" "$configs"/*.yaml; then
        echo "$(basename "$0"): name a language pair of $recipe, such as PAIR=de-en" >&2
        exit 2
    fi
}

# run_of SYSTEM → the folder of its run
run_of() {
    echo "$runs/$1/seed$seed"
}

# options_of SYSTEM [ARGS OPTION…] → its configuration, as command-line arguments
options_of() {
    # shellcheck disable=SC2086  # OVERRIDES are several words
    intra-distill args "$configs/$1" ${OVERRIDES:-} "${@:2}"
}

# prepare OPTION…: converts raw text to the data directory $data/bin
prepare() {
    local options
    options=$(intra-distill args "$configs/prepare.yaml")
    # shellcheck disable=SC2086  # several options; `intra-distill args` refuses spaces in a value
    intra-distill prepare $options ${PREPARE:-} "$@" --destdir "$data/bin"
}

# interruptible COMMAND…: passes SIGTERM and Ctrl-C on to the command as SIGTERM, and then returns
# 75: stopped, run again. Bash by itself would first wait for the command to end.
interruptible() {
    local child status=0 stopped=
    "$@" &
    child=$!
    trap 'stopped=yes; kill -TERM "$child" 2>/dev/null || true' TERM INT
    wait "$child" || status=$?
    while [[ -n $stopped ]] && kill -0 "$child" 2>/dev/null; do # a signal ended the wait
        status=0
        wait "$child" || status=$?
    done
    trap - TERM INT
    [[ -z $stopped || $status == 0 ]] || status=75 # torchrun turns every failure into 1
    return "$status"
}

# train SYSTEM [OPTION…]: trains it, or resumes it, or leaves it alone where it is trained
#
# config=NAME names the configuration of a system that has none of its own name, as a student of
# self-distillation.
train() {
    local run options command tee status=0
    run=$(run_of "$1")
    if [[ -e $run/trained ]]; then
        echo "$run is trained already"
        return
    fi
    options=$(options_of "${config:-$1}" "common.seed=$seed")
    mkdir -p "$run"
    exec 9>"$run/lock"
    flock --nonblock 9 || {
        echo "$run is being trained by another process" >&2
        exit 1
    }
    # tee ignores the signals, so that the log has the last line of a training that is stopped
    exec 8> >(trap '' TERM INT && exec tee -a "$run/train.log")
    tee=$!
    command=fairseq-train
    [[ -z ${LAUNCHER:-} ]] || command="$LAUNCHER $(command -v fairseq-train)"
    # shellcheck disable=SC2086  # a command and options of several words
    interruptible $command "$data/bin" --user-dir "$root/intra_distill" $options \
        ${PAIR:+--source-lang "${PAIR%-*}" --target-lang "${PAIR#*-}"} \
        --save-dir "$run" "${@:2}" >&8 2>&1 8>&- || status=$?
    exec 8>&-
    wait "$tee"
    [[ $status == 0 ]] || exit "$status"
    touch "$run/trained"
    exec 9>&-
}

# evaluate SYSTEM [OPTION…]: translates the test set with the best checkpoint and scores it
evaluate() {
    local run options
    options=$(options_of "${config:-$1}" --generation)
    run=$(run_of "$1")
    # shellcheck disable=SC2086  # several options
    interruptible intra-distill evaluate "$data/bin" --path "$run/checkpoint_best.pt" \
        --results-path "$run" --name "$1" $options "${@:2}"
}
