# Sourced by the steps of the recipe: where its configurations, data and runs are.
#
#   DATA   data directory (default: data/multi30k)
#   RUNS   one folder per system, with its checkpoints and scores (default: runs/multi30k)

# shellcheck shell=bash disable=SC2034,SC2154
recipe=$(basename "$here")
configs=$root/configs/$recipe
data=${DATA:-$root/data/$recipe}
runs=${RUNS:-$root/runs/$recipe}
