#!/usr/bin/env bash
# The whole test suite; arguments go to pytest: bash scripts/test.sh -k fused
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/environment.sh
source "$here/environment.sh"
cd "$root"
exec python -m pytest tests "$@"
