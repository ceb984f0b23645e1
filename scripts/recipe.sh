# Sourced by the scripts, after recipe=NAME: the paths of a recipe, and its steps as functions.
#
#   DATASET    one of the data sets of configs/NAME/datasets.yaml, in a recipe that has the file
#   SEED       seed of the run (default: 1)
#   DATA       folder of the data (default: data/NAME)
#   RUNS       folder of the runs, each in [DATASET/]SYSTEM/seedSEED (default: runs/NAME)
#   OVERRIDES  GROUP.KEY=VALUE …, values that replace those of every system
#   AVERAGE    number of checkpoints: training keeps the last ones within epochs, and their average is
#              evaluated instead of the best one, as a system of its own, SYSTEM+average=NUMBER
#   PREPARE    options of the preparation that replace those of configs/NAME/prepare.yaml
#   LAUNCHER   command that starts training, such as "torchrun --nproc-per-node 8" (default: none)
#
# A SYSTEM is a configuration in configs/NAME, with values changed where its name says so:
# intra_x+task.num_passes=5+criterion.alpha=1. `intra-distill args` reads such names.
#
# What is of one recipe alone is in scripts/NAME/recipe.sh. It may replace the functions starting_point
# and columns_of, choose in chosen the checkpoint that is evaluated, and name in own_variables what the
# jobs of a grid need besides the variables above. Of a recipe that starts from a pretrained model it
# sources scripts/pretrained.sh.

# shellcheck shell=bash disable=SC2154,SC2034
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# refuse WORD…: ends the script with a line that says what is wrong
refuse() {
    echo "$(basename "$0"): $*" >&2
    exit 2
}

# words ARRAY TEXT: splits the text of a variable; an unquoted $TEXT would also match names of files
words() {
    IFS=$' \t\n' read -rd '' -a "$1" <<<"$2" || true # it ends without the delimiter
}

# list WORD… → the words separated by commas
list() {
    local IFS=,
    echo "$*"
}

configs=$root/configs/$recipe
if [[ ! -f $configs/prepare.yaml ]]; then
    recipes=$(cd "$root/configs" && printf ', %s' */prepare.yaml)
    recipes=${recipes//\/prepare.yaml/}
    refuse "${recipe:+$recipe is no recipe; }name a recipe: ${recipes#, }"
fi
[[ ${AVERAGE:-2} =~ ^([2-9]|[1-9][0-9]+)$ ]] ||
    refuse "AVERAGE=$AVERAGE is no number of checkpoints to average: give 2 or more"
datasets=()
if [[ -f $configs/datasets.yaml ]]; then
    mapfile -t datasets < <(grep -oE '^[^ #:]+' "$configs/datasets.yaml")
fi
all_data=$(absolute "${DATA:-$root/data/$recipe}")
all_runs=$(absolute "${RUNS:-$root/runs/$recipe}")
seed=${SEED:-1}
words overrides "${AVERAGE:+checkpoint.keep_interval_updates=$AVERAGE }${OVERRIDES:-}"
unset config # see train
export PYTHONWARNINGS=ignore # hydra and torch warn about the way fairseq uses them

# use_dataset NAME: the data set of all that follows; - or nothing in a recipe that has one only
use_dataset() {
    dataset=${1#-}
    data=$all_data${dataset:+/$dataset}
    runs=$all_runs${dataset:+/$dataset}
}

# require_dataset [VARIABLE]: a recipe that has several data sets needs one of them, and others none;
# VARIABLE is where it was named, DATASET by default
require_dataset() {
    local name names
    for name in "${datasets[@]:-}"; do
        [[ $name != "$dataset" ]] || return 0
    done
    [[ ${#datasets[@]} != 0 ]] || refuse "$recipe has one data set: leave ${1:-DATASET}=$dataset out"
    printf -v names ', %s' "${datasets[@]}"
    refuse "${dataset:+there is no data set $dataset; }name one of $recipe with ${1:-DATASET}: ${names#, }"
}
use_dataset "${DATASET:-}"
[[ -z $dataset ]] || require_dataset

# starting_point: puts into the array start the options with which a training starts from a
# pretrained model
starting_point() {
    :
}

# columns_of DATASET → its columns in a table, separated by commas
columns_of() {
    echo "$1"
}
own_variables=()
chosen=checkpoint_best.pt

# run_of SYSTEM → the folder of its run
run_of() {
    echo "$runs/$1/seed$seed"
}

# evaluated SYSTEM → the name under which it is evaluated: the average of its checkpoints is a system
# of its own, in a folder of its own, so that neither result replaces the other
evaluated() {
    echo "$1${AVERAGE:++average=$AVERAGE}"
}

# checkpoint_of SYSTEM → what is evaluated: its best checkpoint, or the last where nothing selects, or
# the average that AVERAGE asks for
checkpoint_of() {
    local run=$1 file=$chosen
    [[ -z ${AVERAGE:-} ]] || file=average.pt run=$(evaluated "$1")
    echo "$(run_of "$run")/$file"
}

# result_of SYSTEM [SUBSET] → the result of its evaluation
result_of() {
    echo "$(run_of "$(evaluated "$1")")/${2:-test}.json"
}

# options_of SYSTEM [ARGS OPTION…] → its configuration, as command-line arguments
options_of() {
    [[ $1 != *+average=* ]] || refuse "$1 is no system to train: AVERAGE=${1##*=} evaluates its average"
    intra-distill args "$configs/$1" "${overrides[@]}" "${@:2}" ${dataset:+--dataset "$dataset"}
}

# subsets_of SYSTEM → the subsets on which it is evaluated, separated by spaces: its
# dataset.gen_subset, or else all test-NAME where the data has such, or test
subsets_of() {
    local options file found=()
    options=$(options_of "$1" --generation) || return
    if [[ " $options" =~ \ --gen-subset\ ([^ ]+) ]]; then
        echo "${BASH_REMATCH[1]//,/ }"
        return
    fi
    for file in "$data"/bin/test-*.ref "$data"/bin/test-*.ref.*; do
        file=${file##*/}
        [[ ! -e $data/bin/$file ]] || found+=("${file%.ref*}")
    done
    echo "${found[*]:-test}"
}

# make_data COMMAND OPTION…: makes the data directory $data/bin with a command of intra-distill
make_data() {
    local options replaced
    options=$(intra-distill args "$configs/prepare.yaml")
    words replaced "${PREPARE:-}"
    # shellcheck disable=SC2086  # several options; `intra-distill args` refuses spaces in a value
    intra-distill "$1" $options "${replaced[@]}" "${@:2}" --destdir "$data/bin"
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

# lock RUN: keeps other processes from training it, as long as this one or its training lives. Where
# the file system or the machine has no locks, training goes on without.
lock() {
    local why status=0
    exec 9>"$1/lock"
    why=$(flock -n -E 75 9 2>&1) || status=$?
    if [[ $status == 75 ]]; then
        echo "$1 is being trained by another process" >&2
        exit 1
    elif [[ $status != 0 ]]; then
        echo "$1 cannot be locked: see to it that no other process trains it (${why#*: line *: })" >&2
    fi
}

# require_saves OPTION…: refuses a training too short to save as many checkpoints as AVERAGE
require_saves() {
    local interval=0 updates=0
    [[ ! " $*" =~ .*\ --save-interval-updates[\ =]([0-9]+) ]] || interval=${BASH_REMATCH[1]}
    [[ ! " $*" =~ .*\ --max-update[\ =]([0-9]+) ]] || updates=${BASH_REMATCH[1]}
    ((interval)) || refuse "AVERAGE=$AVERAGE needs checkpoints within epochs: set" \
        "checkpoint.save_interval_updates in OVERRIDES"
    ((!updates || updates / interval >= AVERAGE)) || refuse "AVERAGE=$AVERAGE, but $updates updates" \
        "are saved $((updates / interval)) times: lower checkpoint.save_interval_updates in OVERRIDES"
}

# train SYSTEM [OPTION…]: trains it, or resumes it, or leaves it alone where it is trained
#
# config=NAME names the configuration of a system that has none of its own name, as a student of
# self-distillation.
train() {
    local run options launched tee status=0 start=()
    run=$(run_of "$1")
    if [[ -e $run/trained ]]; then
        echo "$run is trained already"
        return
    fi
    options=$(options_of "${config:-$1}" "common.seed=$seed")
    [[ -z ${AVERAGE:-} ]] || require_saves "$options" "${@:2}"
    starting_point
    words launched "${LAUNCHER:-}"
    launched+=("$(command -v fairseq-train || echo fairseq-train)") # torchrun takes a file
    mkdir -p "$run"
    lock "$run"
    # tee ignores the signals, so that the log has the last line of a training that is stopped
    exec 8> >(trap '' TERM INT && exec tee -a "$run/train.log")
    tee=$!
    # shellcheck disable=SC2086  # several options
    interruptible "${launched[@]}" "$data/bin" --user-dir "$root/intra_distill" $options \
        "${start[@]}" --save-dir "$run" "${@:2}" >&8 2>&1 8>&- || status=$?
    exec 8>&-
    wait "$tee"
    [[ $status == 0 ]] || exit "$status"
    touch "$run/trained"
    exec 9>&-
}

# average RUN FILE: averages the last checkpoints of a run, unless FILE is their average already.
# FILE.names lists the checkpoints that there were.
average() {
    local checkpoint checkpoints=() changed=''
    for checkpoint in "$1"/checkpoint_*_*.pt; do
        [[ ! $checkpoint =~ /checkpoint_[0-9]+_[0-9]+\.pt$ ]] || checkpoints+=("$checkpoint")
        [[ ! $checkpoint -nt $2 ]] || changed=yes
    done
    ((${#checkpoints[@]} >= AVERAGE)) ||
        refuse "AVERAGE=$AVERAGE, but $1 has ${#checkpoints[@]} checkpoints to average: train it anew" \
            "with AVERAGE=$AVERAGE, which keeps as many, or leave AVERAGE out"
    [[ $(cat "$2.names" 2>/dev/null) == "${checkpoints[*]##*/}" ]] || changed=yes
    if [[ -z $changed ]]; then
        echo "$2 is the average of the last $AVERAGE checkpoints already"
        return
    fi
    mkdir -p "$(dirname "$2")"
    interruptible intra-distill average --inputs "$1" --num-update-checkpoints "$AVERAGE" --output "$2"
    echo "${checkpoints[*]##*/}" >"$2.names"
}

# evaluate SYSTEM [OPTION…]: evaluates its checkpoint on the subsets of its configuration
evaluate() {
    local options results checkpoint
    options=$(options_of "${config:-$1}" --generation)
    results=$(run_of "$(evaluated "$1")")
    checkpoint=$(checkpoint_of "$1")
    [[ -z ${AVERAGE:-} ]] || average "$(run_of "$1")" "$checkpoint"
    # shellcheck disable=SC2086  # several options
    interruptible intra-distill evaluate "$data/bin" --path "$checkpoint" \
        --results-path "$results" --name "$(evaluated "$1")" $options "${@:2}"
}

own=$root/scripts/$recipe/recipe.sh
# shellcheck source=/dev/null
[[ ! -f $own ]] || source "$own"
