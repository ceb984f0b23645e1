#!/usr/bin/env bash
# All runs of a recipe: prepares the data, trains and evaluates systems × data sets × seeds, and ends
# with the table.
#
#   SYSTEMS=… DATASETS=… SEEDS=… bash scripts/grid.sh RECIPE [SOURCE, see the recipe's prepare.sh]
#
#   SYSTEMS, DATASETS, SEEDS   what to run, separated by spaces
#   JOBS     number of runs at a time (default: one per GPU, or one without a GPU); more than there are
#            GPUs share them. The GPUs are those in CUDA_VISIBLE_DEVICES where that is set, or else all
#            of this machine. Unless OMP_NUM_THREADS is set, the runs share the CPU's cores alike.
#   SBATCH   options of SLURM's sbatch, such as "--partition gpu --gres gpu:1 --time 24:00:00":
#            the runs become a job array, and the table a job after it. With
#            "--requeue --signal B:TERM@120" a run at its time limit saves and resumes in a new job.
#
# A finished run is skipped and a stopped run resumes. A run that fails stops no other; runs without
# a result are listed at the end.
recipe=${1:-}
unset DATASET
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"
export SYSTEMS=${SYSTEMS:?name the systems} DATASETS=${DATASETS:--} SEEDS=${SEEDS:-1}
[[ ${JOBS:-1} =~ ^[1-9][0-9]*$ ]] || refuse "JOBS=$JOBS is no number of runs at a time: give 1 or more"

# gpus → the GPUs that runs may use, one a line; none where the driver fails, which then says why
gpus() {
    local name names
    if [[ -v CUDA_VISIBLE_DEVICES ]]; then
        IFS=', ' read -ra names <<<"$CUDA_VISIBLE_DEVICES"
        for name in "${names[@]}"; do
            [[ $name =~ ^([0-9]+|(GPU|MIG)-.+)$ ]] || break # as in CUDA, -1 hides all that follow
            echo "$name"
        done
    elif command -v nvidia-smi >/dev/null; then
        { nvidia-smi --query-gpu=index --format=csv,noheader 2>&1 || true; } |
            while read -r name; do
                if [[ $name =~ ^[0-9]+$ ]]; then echo "$name"; else echo "nvidia-smi: $name" >&2; fi
            done
    fi
}

# run_here ARGUMENT…: the runs, four arguments of run_system.sh each, on this machine
run_here() {
    local devices jobs cores
    mapfile -t devices < <(gpus)
    GPUS=$(list "${devices[@]}")
    export GPUS
    jobs=${JOBS:-$((${#devices[@]} ? ${#devices[@]} : 1))}
    if ((jobs > 1)) && [[ -z ${OMP_NUM_THREADS:-} ]]; then # or each run takes all cores
        cores=$(nproc)
        export OMP_NUM_THREADS=$((cores > jobs ? cores / jobs : 1))
    fi
    printf '%s\0' "$@" | xargs --null --max-args 4 --process-slot-var SLOT --max-procs "$jobs" \
        bash "$root/scripts/run_system.sh" || true # the report lists what failed
    bash "$root/scripts/report.sh" "$recipe"
}

# batch_script COMMAND…: what SLURM stores. It holds the variables as they are now, because a job may
# begin in another environment, and after another grid was submitted.
batch_script() {
    local name names=(SYSTEMS DATASETS SEEDS OVERRIDES AVERAGE PREPARE LAUNCHER DATA RUNS VENV PYTHON
        "${own_variables[@]}")
    local DATA=$data RUNS=$runs VENV=$venv # absolute
    echo "#!/usr/bin/env bash"
    echo "unset GPUS ${names[*]}"
    for name in "${names[@]}"; do
        [[ ! -v $name ]] || printf 'export %s=%q\n' "$name" "${!name}"
    done
    printf '%s\n' "$@"
}

# submit ARGUMENT…: the runs, four arguments of run_system.sh each, as a job array
submit() {
    local options array logs=${runs//%/%%}/slurm number=$(($# / 4))
    words options "$SBATCH"
    array=$(batch_script "runs=(${*@Q})" \
        "exec bash ${root@Q}/scripts/run_system.sh \"\${runs[@]:SLURM_ARRAY_TASK_ID * 4 - 4:4}\"" |
        sbatch --parsable "${options[@]}" --job-name "$recipe" --array "1-$number${JOBS:+%$JOBS}" \
            --output "$logs-%A-%a.log")
    echo "job array ${array%%;*}: $number runs"
    batch_script "exec bash ${root@Q}/scripts/report.sh $recipe" |
        sbatch "${options[@]}" --job-name "$recipe-table" --dependency "afterany:${array%%;*}" \
            --output "$logs-%j-table.log"
}

words names "$DATASETS"
for name in "${names[@]}"; do
    use_dataset "$name"
    require_dataset DATASETS
done
use_dataset -
mkdir -p "$runs"
for name in "${names[@]}"; do
    DATASET=${name#-} bash "$root/scripts/$recipe/prepare.sh" "${@:2}" ||
        echo "== no data for $recipe ${name#-}" >&2
done
grid=()
for seed in $SEEDS; do
    for name in "${names[@]}"; do
        for system in $SYSTEMS; do grid+=("$recipe" "$name" "$system" "$seed"); done
    done
done
if [[ -n ${SBATCH:-} ]]; then submit "${grid[@]}"; else run_here "${grid[@]}"; fi
