#!/usr/bin/env bash
# The table of a grid, with each system tested against the first and with the paper's own numbers;
# also as table.csv and table.png in the folder of the runs. Lists the runs that have no result. JOBS
# tests are made at a time.
#
#   SYSTEMS=… DATASETS=… SEEDS=… bash scripts/report.sh RECIPE [intra-distill table's options…]
recipe=${1:-}
unset DATASET
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"
systems=() names=()
words systems "${SYSTEMS:?name the systems}"
words names "${DATASETS:--}"

missing=() results=() columns=() rows=() comparisons=()
for name in "${names[@]}"; do
    use_dataset "$name"
    [[ $name == - ]] || columns+=("$(columns_of "$name")")
    subsets=$(subsets_of "${systems[0]}" 2>/dev/null || echo test) # of all systems
    for subset in $subsets; do
        [[ $subset != test-* ]] || columns+=("${subset#test-}")
    done
    for seed in ${SEEDS:-1}; do
        for system in "${systems[@]}"; do
            run=$(run_of "$system") baseline=$(run_of "$(evaluated "${systems[0]}")")
            lacking=() compared=()
            for subset in $subsets; do
                result=$(result_of "$system" "$subset")
                if [[ ! -e $result ]]; then
                    lacking+=("$subset")
                    continue
                fi
                results+=("$result")
                [[ $system == "${systems[0]}" || ! -e $baseline/$subset.json ]] ||
                    compared+=("$subset")
            done
            [[ ${#lacking[@]} == 0 ]] ||
                missing+=("$run: $(tail -n 1 "$run/run.log" 2>/dev/null || echo "never begun")")
            [[ ${#compared[@]} == 0 ]] || comparisons+=("DATASET=$dataset" "SEED=$seed"
                bash "$root/scripts/evaluate.sh" "$recipe" "$system"
                --gen-subset "$(list "${compared[@]}")" --baseline "$baseline")
        done
    done
done
[[ ${#comparisons[@]} == 0 ]] || printf '%s\0' "${comparisons[@]}" |
    xargs --null --max-args 10 --max-procs "${JOBS:-1}" env >/dev/null
for system in "${systems[@]}"; do rows+=("$(evaluated "$system")"); done
shown=(--systems "$(list "${rows[@]}")")
[[ ${#columns[@]} == 0 ]] || shown+=(--datasets "$(list "${columns[@]}")")
paper=()
[[ ! -e $configs/paper.yaml ]] || paper=(--paper "$configs/paper.yaml")
[[ ${#results[@]} == 0 ]] || intra-distill table "${results[@]}" "${shown[@]}" "${paper[@]}" \
    --csv "$all_runs/table.csv" --plot "$all_runs/table.png" "${@:2}"
[[ ${#missing[@]} == 0 ]] || {
    printf 'no result: %s\n' "${missing[@]}" >&2
    exit 1
}
