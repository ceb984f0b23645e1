# Sourced by the other scripts: enters the project's virtual environment, making it where needed.
#
#   VENV     an environment to use instead of .venv; one that has intra_distill is left as it is
#   PYTHON   the interpreter that makes it (default: python3)

# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

install() {
    local python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "environment: Python 3.11 or newer is needed; name one with PYTHON=…" >&2
        return 1
    }
    command -v gcc >/dev/null || {
        echo "environment: gcc is needed to build fairseq's extensions; install it first" >&2
        return 1
    }
    "$python" -m venv "$1"
    # torch first: what needs torch later takes the one that is there
    "$1/bin/pip" install --constraint "$root/scripts/constraints.txt" torch
    "$1/bin/pip" install --constraint "$root/scripts/constraints.txt" --editable "${root}[test]"
}

venv=${VENV:-$root/.venv}
stamp=$venv/intra_distill.installed
wanted=$(cat "$root/setup.py" "$root/scripts/constraints.txt" | sha256sum)
if [[ -z ${VENV:-} || ! -x $venv/bin/intra-distill ]] && [[ $(cat "$stamp" 2>/dev/null) != "$wanted" ]]; then
    echo "installing into $venv" >&2
    install "$venv" >&2
    echo "$wanted" >"$stamp"
fi
PATH=$venv/bin:$PATH
