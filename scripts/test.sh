#!/usr/bin/env bash
# Runs the tests, on all cores. Arguments go to pytest.
#
#   bash scripts/test.sh                                # the whole suite
#   bash scripts/test.sh -m quick                       # what needs no training, in about a minute
#   bash scripts/test.sh -n 0 tests/core/test_loss.py   # one file in one process, in seconds
#   bash scripts/test.sh -k fused                       # the tests whose names contain a word
#   bash scripts/test.sh -k faults --long               # thousands of faults, counted in a table
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/environment.sh
source "$here/environment.sh"
cd "$root"
exec python -m pytest --numprocesses auto --maxprocesses 8 --dist loadgroup "$@"
