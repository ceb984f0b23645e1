#!/usr/bin/env bash
# The ablations of the paper's section 5: α growing or constant (Figure 7), K from 2 to 6
# (Figure 8), X-divergence or JS, and α itself; trained, evaluated, in a table and drawn.
#
#   bash scripts/ablations.sh RECIPE [SOURCE, see the recipe's prepare.sh]
#
#   RECIPE   multi30k or iwslt14, there on PAIRS (default: de-en, as in the paper)
#   SEEDS, JOBS, SBATCH   as for scripts/grid.sh; after SBATCH's jobs, the script once more without
#            SBATCH draws the pictures
#
# The pictures stand beside the runs: adaptive.png, alpha_schedule.png, passes.png, divergence.png
# and alpha.png. A run that failed is missing in them.
recipe=${1:?name a recipe: multi30k or iwslt14}
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"

case $recipe in
iwslt14)
    export PAIRS=${PAIRS:-de-en}
    growing=intra_x # its α is 5
    alphas=(intra_x+criterion.alpha={1,2.5,7.5})
    ;;
multi30k)
    growing=intra_x+criterion.alpha=5 # α = 1, the configuration's, is constant by definition
    alphas=(intra_x+criterion.alpha={0.5,2,5})
    ;;
*)
    echo "ablations: $recipe is neither multi30k nor iwslt14" >&2
    exit 2
    ;;
esac
adaptive=(transformer "$growing" "$growing+criterion.constant_alpha=true")
passes=(transformer intra_x intra_x+task.num_passes={2,4,5,6})
divergence=(transformer intra_x intra_js)
alphas=(intra_x "${alphas[@]}")

systems=("${passes[@]}" "${adaptive[@]}" "${divergence[@]}" "${alphas[@]}")
SYSTEMS=$(printf '%s\n' "${systems[@]}" | awk '!seen[$0]++' | paste -sd ' ')
export SYSTEMS
failed=0
bash "$root/scripts/grid.sh" "$recipe" "${@:2}" || failed=$?
[[ -z ${SBATCH:-} ]] || exit "$failed"

# draw PICTURE KIND FILE SYSTEM…: of the systems that have such a file
draw() {
    local system found=()
    for system in "${@:4}"; do
        compgen -G "$runs/$system/seed*/$3" >/dev/null && found+=("$runs/$system")
    done
    [[ ${#found[@]} == 0 ]] ||
        intra-distill plot "$2" "${found[@]}" --plot "$runs/$1.png" || failed=$?
}

all=$runs
IFS=+ read -ra values <<<"$growing"
for pair in ${PAIRS:--}; do
    [[ $pair == - ]] || runs=$all/$pair
    draw adaptive loss train.log "${adaptive[@]}"
    draw passes bleu test.json "${passes[@]}"
    draw divergence loss train.log "${divergence[@]}"
    draw alpha loss train.log "${alphas[@]}"
    # shellcheck disable=SC2086
    intra-distill plot alpha "$configs/${values[0]}.yaml" "${values[@]:1}" ${OVERRIDES:-} \
        --plot "$runs/alpha_schedule.png"
    echo "the pictures are in $runs"
done
exit "$failed"
