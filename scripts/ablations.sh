#!/usr/bin/env bash
# Ablations of the paper's section 5, and three more: α growing or constant (Figure 7), K from 2 to 6
# (Figure 8), X-divergence or Jensen–Shannon, α itself, and where passes differ: in every second
# update, in the encoder, in the decoder, or in the tokens as well. Trains and evaluates the systems
# as a grid, prints the table and draws the pictures.
#
#   bash scripts/ablations.sh RECIPE [SOURCE, see the recipe's prepare.sh]
#
#   RECIPE     multi30k, multi30k_full or iwslt14
#   DATASETS   the pairs (default: de-en, as in the paper)
#   SEEDS, JOBS, SBATCH   as for scripts/grid.sh. With SBATCH, run the script again without it when
#            the jobs have ended: that draws the pictures.
#
# The pictures are in the folder of the runs: adaptive.png, alpha_schedule.png, passes.png,
# divergence.png, alpha.png and where.png. They leave out a run that failed.
recipe=${1:-}
unset DATASET
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"

case $recipe in
iwslt14)
    growing=intra_x # with α = 5
    constant=intra_x+criterion.constant_alpha=true
    alphas=(intra_x+criterion.alpha={1,2.5,7.5})
    ;;
multi30k | multi30k_full)
    growing=intra_x+criterion.alpha=5 # intra_x has α = 1, which is constant by definition
    constant=intra_x+criterion.alpha=5+criterion.constant_alpha=true
    alphas=(intra_x+criterion.alpha={0.5,2,5})
    ;;
*) refuse "there are none of $recipe: name multi30k, multi30k_full or iwslt14" ;;
esac
export DATASETS=${DATASETS:-de-en}
adaptive=(transformer "$growing" "$constant")
passes=(transformer intra_x intra_x+task.num_passes={2,4,5,6})
divergence=(transformer intra_x intra_js)
alphas=(intra_x "${alphas[@]}")
cutoff=intra_x_cutoff
[[ -e $configs/$cutoff.yaml ]] || cutoff=intra_x+task.cutoff=0.05
where=(transformer intra_x "$cutoff" intra_x+task.every=2
    intra_x+task.passes_differ={encoder,decoder})

systems=("${passes[@]}" "${adaptive[@]}" "${divergence[@]}" "${alphas[@]}" "${where[@]}")
SYSTEMS=$(printf '%s\n' "${systems[@]}" | awk '!seen[$0]++' | paste -sd ' ')
export SYSTEMS
failed=0
bash "$root/scripts/grid.sh" "$recipe" "${@:2}" || failed=$?
[[ -z ${SBATCH:-} ]] || exit "$failed"

# draw PICTURE KIND FILE SYSTEM…: draws the systems whose runs have FILE
draw() {
    local system found=()
    for system in "${@:4}"; do
        [[ $2 != bleu ]] || system=$(evaluated "$system")
        compgen -G "$runs/$system/seed*/$3" >/dev/null && found+=("$runs/$system")
    done
    [[ ${#found[@]} == 0 ]] ||
        intra-distill plot "$2" "${found[@]}" --plot "$runs/$1.png" || failed=$?
}

for name in $DATASETS; do
    use_dataset "$name"
    draw adaptive loss train.log "${adaptive[@]}"
    draw passes bleu test.json "${passes[@]}"
    draw divergence loss train.log "${divergence[@]}"
    draw alpha loss train.log "${alphas[@]}"
    draw where loss train.log "${where[@]}"
    intra-distill plot alpha "$configs/$growing" "${overrides[@]}" --plot "$runs/alpha_schedule.png"
    echo "the pictures are in $runs"
done
exit "$failed"
