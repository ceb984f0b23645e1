#!/usr/bin/env bash
# The table of a grid, with each system tested against the first and with the paper's own numbers;
# also as table.csv and table.png in the folder of the runs. Lists the runs that have no result.
#
#   SYSTEMS=… PAIRS=… SEEDS=… bash scripts/report.sh RECIPE [intra-distill table's options…]
recipe=${1:-}
unset PAIR
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"
all_runs=$runs all_data=$data
read -ra systems <<<"${SYSTEMS:?name the systems}"

missing=() results=()
for pair in ${PAIRS:--}; do
    [[ $pair == - ]] || runs=$all_runs/$pair data=$all_data/$pair
    for seed in ${SEEDS:-1}; do
        baseline=$(run_of "${systems[0]}")/test.json
        for system in "${systems[@]}"; do
            run=$(run_of "$system")
            if [[ ! -e $run/test.json ]]; then
                missing+=("$run: $(tail -n 1 "$run/run.log" 2>/dev/null || echo "never begun")")
                continue
            fi
            results+=("$run/test.json")
            [[ $system == "${systems[0]}" || ! -e $baseline ]] ||
                evaluate "$system" --baseline "$baseline" >/dev/null
        done
    done
done
list() { # WORD… → the words separated by commas
    local IFS=,
    echo "$*"
}
shown=(--systems "$(list "${systems[@]}")")
if [[ ${PAIRS:--} != - ]]; then
    read -ra pairs <<<"$PAIRS"
    shown+=(--datasets "$(list "${pairs[@]}")")
fi
paper=()
[[ ! -e $configs/paper.yaml ]] || paper=(--paper "$configs/paper.yaml")
[[ ${#results[@]} == 0 ]] || intra-distill table "${results[@]}" "${shown[@]}" "${paper[@]}" \
    --csv "$all_runs/table.csv" --plot "$all_runs/table.png" "${@:2}"
[[ ${#missing[@]} == 0 ]] || {
    printf 'no result: %s\n' "${missing[@]}" >&2
    exit 1
}
