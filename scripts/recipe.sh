# Sourced by the steps of a recipe, after setting recipe=NAME: its paths and its steps.
#
#   PAIR       SOURCE-TARGET, where the recipe has several language pairs
#   SEED       of the run (default: 1)
#   DATA       where the data goes (default: data/NAME)
#   RUNS       where each run has its folder, [PAIR/]SYSTEM/seedSEED (default: runs/NAME)
#   OVERRIDES  GROUP.KEY=VALUE … put in place of what the systems' configurations say
#   PREPARE    options of `intra-distill prepare` in place of what its configuration says
#   LAUNCHER   what starts training, such as "torchrun --nproc-per-node 8" (default: nothing)
#
# A SYSTEM is a file of configs/NAME, or one with some of its values changed, which then stand in
# the run's name: intra_x+task.num_passes=5+criterion.alpha=1

# shellcheck shell=bash disable=SC2154
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
configs=$root/configs/$recipe
data=${DATA:-$root/data/$recipe}${PAIR:+/$PAIR}
runs=${RUNS:-$root/runs/$recipe}${PAIR:+/$PAIR}
seed=${SEED:-1}
export PYTHONWARNINGS=ignore # hydra's and torch's, of how fairseq uses them

run_of() { # SYSTEM → its folder
    echo "$runs/${1:?name a system: $(systems)}/seed$seed"
}

# options_of SYSTEM [ARGS OPTION…]: what its configuration says, as command-line arguments
options_of() {
    local values
    IFS=+ read -ra values <<<"$1"
    # shellcheck disable=SC2086
    intra-distill args "$configs/${config:-${values[0]}}.yaml" "${values[@]:1}" ${OVERRIDES:-} "${@:2}"
}

# prepare OPTION…: text → the data directory $data/bin
prepare() {
    local options
    options=$(intra-distill args "$configs/prepare.yaml")
    # shellcheck disable=SC2086  # no option has a space in it: `intra-distill args` sees to that
    intra-distill prepare $options ${PREPARE:-} "$@" --destdir "$data/bin"
}

# interruptible COMMAND…: a SIGTERM or Ctrl-C goes on to it as SIGTERM, and the status is then 75:
# stopped before its end, run again. A shell alone would wait until the command is through.
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

# train SYSTEM [OPTION…]: a run that was stopped is resumed, one that is finished is left alone
train() {
    local run options command tee status=0
    run=$(run_of "$1")
    if [[ -e $run/trained ]]; then
        echo "$run is trained already"
        return
    fi
    options=$(options_of "$1" "common.seed=$seed")
    mkdir -p "$run"
    exec 9>"$run/lock"
    flock --nonblock 9 || {
        echo "$run is being trained by another process" >&2
        exit 1
    }
    # the log is open until the training has said its last word
    exec 8> >(trap '' TERM INT && exec tee -a "$run/train.log")
    tee=$!
    command=fairseq-train
    [[ -z ${LAUNCHER:-} ]] || command="$LAUNCHER $(command -v fairseq-train)"
    # shellcheck disable=SC2086
    interruptible $command "$data/bin" --user-dir "$root/intra_distill" $options \
        ${PAIR:+--source-lang "${PAIR%-*}" --target-lang "${PAIR#*-}"} \
        --save-dir "$run" "${@:2}" >&8 2>&1 8>&- || status=$?
    exec 8>&-
    wait "$tee"
    [[ $status == 0 ]] || exit "$status"
    touch "$run/trained"
    exec 9>&-
}

# evaluate SYSTEM [OPTION…]: translate the test set with the best checkpoint and score it
evaluate() {
    local run options
    run=$(run_of "$1")
    options=$(options_of "$1" --generation)
    # shellcheck disable=SC2086
    interruptible intra-distill evaluate "$data/bin" --path "$run/checkpoint_best.pt" \
        --results-path "$run" --name "$1" $options "${@:2}"
}

# compare SYSTEM…: train and evaluate each, against the first, and print the table
compare() {
    local system results=()
    for system in "$@"; do
        echo "== $system"
        train "$system"
        evaluate "$system" ${results:+--baseline "${results[0]}"}
        results+=("$(run_of "$system")/test.json")
    done
    intra-distill table "${results[@]}"
}

# self_distill ROUNDS: the plain transformer, and students each of which teaches the next
self_distill() {
    local rounds=${1:-} round student teacher=transformer results=()
    [[ $rounds =~ ^[1-9][0-9]*$ ]] || {
        echo "give a number of rounds: bash $0 2" >&2
        exit 2
    }
    train transformer
    evaluate transformer
    results=("$(run_of transformer)/test.json")
    for ((round = 1; round <= rounds; round++)); do
        student=self_distillation_$round
        config=self_distillation train "$student" \
            --teacher-path "$(run_of "$teacher")/checkpoint_best.pt"
        config=self_distillation evaluate "$student" --baseline "${results[0]}"
        results+=("$(run_of "$student")/test.json")
        teacher=$student
    done
    intra-distill table "${results[@]}"
}

systems() {
    basename -s .yaml "$configs"/*.yaml | grep -vx -e prepare -e paper | paste -sd ' '
}
