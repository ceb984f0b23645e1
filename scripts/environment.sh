# Sourced by the other scripts: activates the project's virtual environment. Creates it first where
# it is missing, out of date, or broken because the checkout was moved or copied or its Python was
# upgraded.
#
#   VENV     an environment to use instead of .venv; left as it is if it has intra_distill
#   PYTHON   the interpreter that creates it (default: python3.12, or else python3). For Python 3.12
#            fairseq-fixed comes compiled; for others compiling it takes minutes, and needs gcc.

# shellcheck shell=bash
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# absolute PATH → the same path, from the root of the file system
absolute() {
    case $1 in
    /*) echo "$1" ;;
    *) echo "$PWD/$1" ;;
    esac
}

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

# choose_python → the interpreter that creates the environment
choose_python() {
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
    echo "$python"
}

# code → the folder of the package that the environment's commands run. Fails where they do not run:
# the environment was moved, or its Python was removed or replaced by another version.
code() {
    "$venv/bin/intra-distill" user-dir
}

# runs_this_code: whether that is the package of this checkout, and not of one that it was copied
# from, to which the commands of a copied environment still point
runs_this_code() {
    [[ $(PYTHONPATH='' code 2>/dev/null) -ef $root/intra_distill ]]
}

# install: creates the environment, or brings it up to date. One that these scripts created, as its
# stamp says, is emptied first where it is broken; a user's own may hold other packages.
install() {
    local python pip clear='' created=''
    python=$(choose_python)
    [[ -n ${VENV:-} || ! -e $stamp ]] || runs_this_code || clear=--clear
    [[ -e $venv/pyvenv.cfg && -z $clear ]] || created=yes
    "$python" -m venv ${clear:+"$clear"} "$venv" || {
        echo "environment: $venv cannot be created; if it is there and broken, delete it" >&2
        return 1
    }
    [[ -z $created ]] || touch "$stamp"
    # not bin/pip, which would install into the environment that this one may be a copy of
    pip=("$venv/bin/python" -m pip)
    # torch first: packages that need torch then use this one
    "${pip[@]}" install --constraint "$root/scripts/constraints.txt" torch
    "${pip[@]}" install --constraint "$root/scripts/constraints.txt" --editable "${root}[test]"
    # fairseq-fixed requires torchaudio, which nothing here uses. With a torch of another build, such
    # as one for CPUs, importing it fails, and so does importing transformers, which tries it.
    "$venv/bin/python" -c 'import torchaudio' 2>/dev/null || "${pip[@]}" uninstall --yes torchaudio
    runs_this_code || {
        echo "environment: $venv does not run what was installed into it: delete it" >&2
        return 1
    }
}

# check: refuses an environment of the user's own that does not run, or runs another checkout
check() {
    local found
    found=$(code 2>&1) || {
        echo "environment: VENV=$venv does not run: it was moved, or its Python was removed or" \
            "upgraded; create it anew (${found##*$'\n'})" >&2
        return 1
    }
    found=${found##*$'\n'}
    [[ ! -e $found/../setup.py || $found -ef $root/intra_distill ]] || {
        echo "environment: VENV=$venv runs the code of $(dirname "$found"), not of $root: leave VENV" \
            "out, or install this code there with pip install --editable" >&2
        return 1
    }
}

venv=$(absolute "${VENV:-$root/.venv}")
stamp=$venv/intra_distill.installed
wanted=$(cat "$root/setup.py" "$root/scripts/constraints.txt" | sha256sum)
if [[ -n ${VENV:-} && -x $venv/bin/intra-distill ]]; then
    check
elif [[ $(cat "$stamp" 2>/dev/null) != "$wanted" ]] || ! runs_this_code; then
    echo "installing into $venv" >&2
    install >&2
    echo "$wanted" >"$stamp"
fi
PATH=$venv/bin:$PATH
