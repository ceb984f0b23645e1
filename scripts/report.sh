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
systems=() pairs=()
words systems "${SYSTEMS:?name the systems}"
words pairs "${PAIRS:--}"

missing=() results=()
for pair in "${pairs[@]}"; do
    [[ $pair == - ]] || runs=$all_runs/$pair data=$all_data/$pair
    for seed in ${SEEDS:-1}; do
        baseline=$(result_of "${systems[0]}")
        for system in "${systems[@]}"; do
            run=$(run_of "$system") result=$(result_of "$system")
            if [[ ! -e $result ]]; then
                missing+=("$run: $(tail -n 1 "$run/run.log" 2>/dev/null || echo "never begun")")
                continue
            fi
            results+=("$result")
            [[ $system == "${systems[0]}" || ! -e $baseline ]] ||
                evaluate "$system" --baseline "$baseline" >/dev/null
        done
    done
done
list() { # WORD… → the words separated by commas
    local IFS=,
    echo "$*"
}
names=()
for system in "${systems[@]}"; do names+=("$(evaluated "$system")"); done
shown=(--systems "$(list "${names[@]}")")
[[ ${pairs[*]} == - ]] || shown+=(--datasets "$(list "${pairs[@]}")")
paper=()
[[ ! -e $configs/paper.yaml ]] || paper=(--paper "$configs/paper.yaml")
[[ ${#results[@]} == 0 ]] || intra-distill table "${results[@]}" "${shown[@]}" "${paper[@]}" \
    --csv "$all_runs/table.csv" --plot "$all_runs/table.png" "${@:2}"
[[ ${#missing[@]} == 0 ]] || {
    printf 'no result: %s\n' "${missing[@]}" >&2
    exit 1
}
