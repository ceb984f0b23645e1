#!/usr/bin/env bash
# Runs the tests, on all cores. Arguments go to pytest; a path under tests/ replaces the whole suite.
#
#   bash scripts/test.sh                                # the whole suite
#   bash scripts/test.sh -m quick                       # what needs no training
#   bash scripts/test.sh -n 0 tests/core/test_loss.py   # a file in this process, in seconds
#   bash scripts/test.sh -k fused                       # the tests whose names have a word
#   bash scripts/test.sh -k faults --long               # thousands of faults, counted in a table
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/environment.sh
source "$here/environment.sh"
cd "$root"
[[ " $*" == *" tests/"* ]] || set -- "$@" tests
exec python -m pytest --numprocesses auto --maxprocesses 8 "$@"
