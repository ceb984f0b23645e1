#!/usr/bin/env bash
# The whole test suite, on all cores; arguments go to pytest:
#
#   bash scripts/test.sh -k fused
#   bash scripts/test.sh -k faults --long    # thousands of faults injected, counted in a table
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/environment.sh
source "$here/environment.sh"
cd "$root"
exec python -m pytest tests --numprocesses auto --maxprocesses 8 "$@"
