# Sourced by the other scripts: activates the project's virtual environment, and creates it first
# where it is missing or out of date.
#
#   VENV     an environment to use instead of .venv; left as it is if it has intra_distill
#   PYTHON   the interpreter that creates it (default: python3.12, or else python3). For Python 3.12
#            fairseq-fixed comes compiled; for others compiling it takes minutes, and needs gcc.

# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# is_usable PYTHON: whether it is new enough and can create an environment
is_usable() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# has_wheel PYTHON: whether a compiled fairseq-fixed exists for it
has_wheel() {
    "$1" - <<'END'
import platform, sys
name, version = platform.libc_ver()
glibc = [int(number) for number in version.split(".")] if name == "glibc" else [0]
compiled = sys.version_info[:2] == (3, 12) and platform.machine() == "x86_64" and glibc >= [2, 28]
sys.exit(not compiled)
END
}

install() {
    local python candidates=(python3.12 python3 python3.11 python3.13)
    [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
    for python in "${candidates[@]}"; do
        is_usable "$python" && break
    done
    is_usable "$python" || {
        echo "environment: Python 3.11 or newer is needed, with its venv; name one with PYTHON=…" >&2
        return 1
    }
    has_wheel "$python" || command -v gcc >/dev/null || {
        echo "environment: gcc is needed to compile fairseq's extensions; install it first, or" \
            "Python 3.12, for which they come compiled" >&2
        return 1
    }
    "$python" -m venv "$1"
    # torch first: packages that need torch then use this one
    "$1/bin/pip" install --constraint "$root/scripts/constraints.txt" torch
    "$1/bin/pip" install --constraint "$root/scripts/constraints.txt" --editable "${root}[test]"
    # fairseq-fixed requires torchaudio, which nothing here uses. With a torch of another build, such
    # as one for CPUs, importing it fails, and so does importing transformers, which tries it.
    "$1/bin/python" -c 'import torchaudio' 2>/dev/null || "$1/bin/pip" uninstall --yes torchaudio
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
