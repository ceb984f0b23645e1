#!/usr/bin/env bash
# All runs of a recipe: systems × pairs × seeds, each trained and evaluated, then the table.
#
#   bash scripts/grid.sh RECIPE [SOURCE, see the recipe's prepare.sh]
#
#   SYSTEMS, PAIRS, SEEDS   what to run, separated by spaces
#   JOBS     runs at a time on this machine (default: one for each GPU; one without any)
#   SBATCH   options of SLURM's sbatch, such as "--partition gpu --gres gpu:1 --time 24:00:00":
#            the runs become a job array instead, the table a job after it; with
#            "--requeue --signal B:TERM@120" a run whose time is over saves and goes on in a new job
#
# What is finished is skipped, what was stopped goes on. A run that fails stops no other; the runs
# without a result are listed at the end.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
recipe=${1:?name a recipe: iwslt14, wmt17 or multi30k}
export SYSTEMS=${SYSTEMS:?name the systems} PAIRS=${PAIRS:--} SEEDS=${SEEDS:-1}
logs=${RUNS:-$root/runs/$recipe}
mkdir -p "$logs"

for pair in $PAIRS; do
    PAIR=${pair#-} bash "$root/scripts/$recipe/prepare.sh" "${@:2}" ||
        echo "== no data for $recipe ${pair#-}" >&2
done

cells=$logs/cells
for seed in $SEEDS; do
    for pair in $PAIRS; do
        for system in $SYSTEMS; do echo "$recipe $pair $system $seed"; done
    done
done >"$cells"

if [[ -n ${SBATCH:-} ]]; then
    # shellcheck disable=SC2016,SC2086  # the job itself reads its line; the options are several
    array=$(sbatch --parsable $SBATCH --job-name "$recipe" --array "1-$(wc -l <"$cells")" \
        --output "$logs/slurm-%a.log" \
        --wrap "exec bash ${root@Q}/scripts/cell.sh \$(sed -n \${SLURM_ARRAY_TASK_ID}p ${cells@Q})")
    # shellcheck disable=SC2086
    sbatch $SBATCH --job-name "$recipe-table" --dependency "afterany:${array%%;*}" \
        --output "$logs/slurm-table.log" --wrap "bash ${root@Q}/scripts/report.sh $recipe"
    exit
fi

if [[ -z ${CUDA_VISIBLE_DEVICES:-} ]] && command -v nvidia-smi >/dev/null; then
    CUDA_VISIBLE_DEVICES=$(nvidia-smi --query-gpu index --format csv,noheader | paste -sd ,)
fi
export GPUS=${CUDA_VISIBLE_DEVICES:-}
commas=${GPUS//[^,]/}
xargs --max-args 4 --max-procs "${JOBS:-$((${#commas} + 1))}" --process-slot-var SLOT \
    bash "$root/scripts/cell.sh" <"$cells" || true # its failures are in the report
bash "$root/scripts/report.sh" "$recipe"
