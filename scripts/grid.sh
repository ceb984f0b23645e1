#!/usr/bin/env bash
# All runs of a recipe: prepares the data, trains and evaluates systems × pairs × seeds, and ends
# with the table.
#
#   SYSTEMS=… PAIRS=… SEEDS=… bash scripts/grid.sh RECIPE [SOURCE, see the recipe's prepare.sh]
#
#   SYSTEMS, PAIRS, SEEDS   what to run, separated by spaces
#   JOBS     number of runs at a time on this machine (default: one per GPU, or one without a GPU)
#   SBATCH   options of SLURM's sbatch, such as "--partition gpu --gres gpu:1 --time 24:00:00":
#            the runs become a job array, and the table a job after it. With
#            "--requeue --signal B:TERM@120" a run at its time limit saves and resumes in a new job.
#
# A finished run is skipped and a stopped run resumes. A run that fails stops no other; runs without
# a result are listed at the end.
recipe=${1:-}
unset PAIR
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"
export SYSTEMS=${SYSTEMS:?name the systems} PAIRS=${PAIRS:--} SEEDS=${SEEDS:-1}
mkdir -p "$runs"

for pair in $PAIRS; do
    PAIR=${pair#-} bash "$root/scripts/$recipe/prepare.sh" "${@:2}" ||
        echo "== no data for $recipe ${pair#-}" >&2
done

grid=$runs/grid.txt # the arguments of run_system.sh, a run a line
for seed in $SEEDS; do
    for pair in $PAIRS; do
        for system in $SYSTEMS; do echo "$recipe $pair $system $seed"; done
    done
done >"$grid"

if [[ -n ${SBATCH:-} ]]; then
    # shellcheck disable=SC2016,SC2086  # the job itself reads its line; the options are several
    array=$(sbatch --parsable $SBATCH --job-name "$recipe" --array "1-$(wc -l <"$grid")" \
        --output "$runs/slurm-%a.log" \
        --wrap "exec bash ${root@Q}/scripts/run_system.sh \$(sed -n \${SLURM_ARRAY_TASK_ID}p ${grid@Q})")
    # shellcheck disable=SC2086  # the options are several
    sbatch $SBATCH --job-name "$recipe-table" --dependency "afterany:${array%%;*}" \
        --output "$runs/slurm-table.log" --wrap "bash ${root@Q}/scripts/report.sh $recipe"
    exit
fi

if [[ -z ${CUDA_VISIBLE_DEVICES:-} ]] && command -v nvidia-smi >/dev/null; then
    CUDA_VISIBLE_DEVICES=$(nvidia-smi --query-gpu index --format csv,noheader | paste -sd ,)
fi
export GPUS=${CUDA_VISIBLE_DEVICES:-}
commas=${GPUS//[^,]/}
xargs --max-args 4 --max-procs "${JOBS:-$((${#commas} + 1))}" --process-slot-var SLOT \
    bash "$root/scripts/run_system.sh" <"$grid" || true # the report lists what failed
bash "$root/scripts/report.sh" "$recipe"
