#!/usr/bin/env bash
# Breaks the core (protocol/) in one place at a time and sees whether a test turns red: cargo-mutants.
#
#   mutants.sh K/N [K/N...]   these shards of all mutants: every N-th from the K-th on, so each is a fair sample; one
#                             line each is added to simulations/results/mutants.txt, what no test caught to
#                             simulations/results/mutants-missed.txt, where a reason is written behind it by hand
#   mutants.sh --file FILE    all mutants of one file; recorded nowhere
#   mutants.sh --quick        what CI has time for: all mutants of one small file, which must be caught; needs
#                             cargo-mutants and cargo-nextest, and says so where they are not
#   mutants.sh --totals       what the recorded shards add up to
#
# The tests that take longest are left out (.config/nextest.toml): what only they would catch counts as missed.
# cargo install --locked cargo-mutants cargo-nextest
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=lib.sh
source simulations/scripts/lib.sh
export CARGO_TERM_COLOR=never
RESULTS=simulations/results/mutants.txt
MISSED=simulations/results/mutants-missed.txt
QUICK=(protocol/src/session/skipped.rs)

# run DIRECTORY ARGS...: the campaign, in a copy of the tree; what it says goes to DIRECTORY/mutants.out.
run() {
    local directory=$1
    shift
    mkdir -p "$directory"
    # Without optimisation, which is most of what a mutant costs; where the tests' dependencies are built already.
    CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target} NEXTEST_PROFILE=mutants nice -n 19 \
        cargo mutants --package murmesh-protocol --test-package murmesh-protocol --test-tool nextest \
        --output "$directory" --no-shuffle --minimum-test-timeout 300 --colors never \
        --cargo-arg=--config --cargo-arg='profile.dev.package.murmesh-protocol.opt-level=0' \
        --cargo-arg=--config --cargo-arg='profile.dev.debug=false' \
        "$@" -- --lib --test it >"$directory/log" 2>&1
}

lines() { [ -f "$1" ] && wc -l <"$1" | tr -d ' ' || echo 0; }

header() {
    [ -f "$RESULTS" ] && return
    cat >"$RESULTS" <<TEXT
# simulations/scripts/mutants.sh K/N: one line a shard; a mutant that makes a test hang counts as caught.
# commit, shard, tested, caught, missed, of them hanging; mutants that do not compile are not counted
TEXT
}

shard() { # K/N
    local out work status=0 caught missed hanging
    work=$(mktemp -d "${TMPDIR:-/tmp}/murmesh-mutants.XXXXXX")
    run "$work" --shard "$1" --sharding round-robin || status=$?
    out=$work/mutants.out
    # 0: all caught, 2: some missed, 3: some hung. Anything else is no result.
    case $status in 0 | 2 | 3) ;; *)
        tail -n 20 "$work/log" >&2
        return 1
        ;;
    esac
    hanging=$(lines "$out/timeout.txt")
    caught=$(($(lines "$out/caught.txt") + hanging))
    missed=$(lines "$out/missed.txt")
    header
    printf '%s shard %s: %s tested, %s caught, %s missed, %s hanging\n' \
        "$(git rev-parse --short HEAD)" "$1" $((caught + missed)) "$caught" "$missed" "$hanging" | tee -a "$RESULTS"
    sed 's/:[0-9]*:[0-9]*:/:/' "$out/missed.txt" | tee -a "$MISSED"
    rm -rf "$work"
}

quick() {
    if ! cargo mutants --version >/dev/null 2>&1 || ! cargo nextest --version >/dev/null 2>&1; then
        echo "not both are here: cargo install --locked cargo-mutants cargo-nextest"
        return
    fi
    local work files=() file status=0
    work=$(mktemp -d "${TMPDIR:-/tmp}/murmesh-mutants.XXXXXX")
    for file in "${QUICK[@]}"; do files+=(--file "$file"); done
    run "$work" "${files[@]}" --baseline skip --timeout 300 || status=$?
    tail -n 3 "$work/log"
    rm -rf "$work"
    return "$status"
}

case "${1:-}" in
--quick) quick ;;
--file)
    work=$(mktemp -d "${TMPDIR:-/tmp}/murmesh-mutants.XXXXXX")
    status=0
    run "$work" --file "$2" || status=$?
    cat "$work/log"
    rm -rf "$work"
    exit "$status"
    ;;
--totals)
    awk '!/^#/ { tested += $4; caught += $6 } END { printf "%d tested, %d caught: %.1f %%\n", tested, caught, 100 * caught / tested }' "$RESULTS"
    ;;
[0-9]*/[0-9]*) for each in "$@"; do shard "$each"; done ;;
*) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' ;;
esac
