#!/usr/bin/env bash
# Is it right on this GPU, and how fast? Runs the tests that need CUDA, measures the loss and whole
# updates, and trains the recipe multi30k_full, all within a given time.
#
#   bash scripts/gpu.sh [PART…] [--minutes M] [--text FOLDER] [--tiny] --output DIR
#
#   PART           right, loss, step, profile, train (default: all of them); they run in this order
#   --output DIR   each part leaves PART.json, PART.md and PART.log here, and replaces those of an
#                  earlier run; summary.txt has what is printed at the end
#   --minutes M    for all parts together (default: 2 for right, 1 for loss, 3 for step, 1 for
#                  profile and 8 for train). A part that is not done by its end is cut off, and
#                  leaves what it had.
#   --text FOLDER  the raw text that train takes, as in scripts/multi30k_full/prepare.sh
#                  (default: it is downloaded)
#   --tiny         each part at a tiny size, on whatever machine this is, to try it out
#   GRACE          variable: seconds that a part has to end beyond its time, and again after SIGTERM
#                  (default: 10)
#
# Ends with 1 if a part failed or was cut off, with 75 if SIGTERM or Ctrl-C stopped it.
set -euo pipefail
SECONDS=0 # bash counts them from here
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
all_parts=(right loss step profile train)
grace=${GRACE:-10}
declare -A minutes_of=([right]=2 [loss]=1 [step]=3 [profile]=1 [train]=8)

refuse() {
    echo "gpu.sh: $*" >&2
    exit 2
}

# interpreter → the first of python and python3 that has torch: an environment that VENV names by its
# commands alone need not have a python
interpreter() {
    local name
    for name in python python3; do
        if "$name" -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("torch"))' \
            2>/dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

# seconds_of MINUTES → the same in seconds; fails where that is no number above 0
seconds_of() {
    local seconds
    [[ $1 =~ ^0*([0-9]{1,5})(\.([0-9])[0-9]*)?$ ]] || return
    seconds=$((BASH_REMATCH[1] * 60 + ${BASH_REMATCH[3]:-0} * 6))
    ((seconds > 0)) && echo "$seconds"
}

parts=() minutes='' output='' text='' tiny=''
while (($#)); do
    option=${1%%=*}
    case $option in
    --minutes | --output | --text)
        [[ $1 == *=* ]] || { (($# > 1)) && set -- "$1=$2" "${@:3}"; } || refuse "$1 needs a value"
        declare "${option#--}=${1#*=}"
        [[ -n ${1#*=} ]] || refuse "$option needs a value"
        ;;
    --tiny) tiny=yes ;;
    -*) refuse "there is no option $1: --minutes M, --output DIR, --text FOLDER, --tiny" ;;
    *)
        [[ -v minutes_of[$1] ]] || refuse "there is no part $1: ${all_parts[*]}"
        parts+=("$1")
        ;;
    esac
    shift
done
[[ -n $output ]] || refuse "name a folder for what is found: --output DIR"
chosen=() shares=0
for part in "${all_parts[@]}"; do
    [[ ${#parts[@]} == 0 || " ${parts[*]} " == *" $part "* ]] || continue
    chosen+=("$part")
    ((shares += minutes_of[$part]))
done
total=$(seconds_of "${minutes:-$shares}") || refuse "--minutes $minutes is no time: give 1 or more"
[[ -z $text || -d $text ]] || refuse "--text $text is no folder"
output=$(absolute "$output")
mkdir -p "$output" 2>/dev/null || refuse "--output $output cannot be made: name another folder"
[[ -w $output ]] || refuse "--output $output cannot be written: name another folder"
python=$(interpreter) || refuse "neither python nor python3 has torch: name their environment with VENV"
[[ -n $tiny ]] || "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
    refuse "torch sees no GPU here; --tiny tries each part out on any machine"

# limit_of PART → its seconds: its share, and for train, which is the last, all that is left
limit_of() {
    if [[ $1 == train ]]; then echo $((total - SECONDS)); else
        echo $((total * minutes_of[$1] / shares))
    fi
}

# on_signal: ends the part, if one runs, and lets no other begin
on_signal() {
    stopped=yes
    [[ -z $group ]] || kill -TERM "$group" 2>/dev/null || true
}

# run_part PART SECONDS → its exit status in status: 124 or 137 where it was cut off
run_part() {
    local options=(--output "$output" --seconds "$2" ${tiny:+--tiny})
    [[ $1 != train || -z $text ]] || options+=(--text "$(absolute "$text")")
    rm -f "$output/$1".{json,md,log}
    echo "== $1: $2 s; its log is $output/$1.log" >&2
    # timeout makes a process group of the part
    timeout --kill-after "$grace" $(($2 + grace)) "$python" "$root/scripts/gpu/$1.py" \
        "${options[@]}" </dev/null >"$output/$1.log" 2>&1 &
    group=$!
    [[ -z $stopped ]] || on_signal # it came just before
    wait "$group" || true
    while kill -0 "$group" 2>/dev/null; do wait "$group" || true; done # a signal ends a wait
    status=0
    wait "$group" || status=$? # bash remembers it
    kill -KILL -- "-$group" 2>/dev/null || true # what it may have left
    group=''
}

stopped='' group='' statuses=()
trap on_signal TERM INT
for part in "${chosen[@]}"; do
    [[ -z $stopped ]] || break
    limit=$(limit_of "$part")
    if ((limit > 0)); then run_part "$part" "$limit"; else
        rm -f "$output/$part".{json,md,log}
        status=124
    fi
    statuses+=("$part=$status")
done
"$python" "$root/scripts/gpu/summary.py" "$output" "${statuses[@]}"
[[ -z $stopped ]] || exit 75
[[ ! " ${statuses[*]} " =~ =[^0] ]] || exit 1
