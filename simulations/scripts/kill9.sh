#!/usr/bin/env bash
# kill9.sh [N] [--seed S] [--round R] [--quick] [--record]: two people who write to each other without end,
# five nodes that keep mail, and N times kill -9 (200 unless given) at random moments: sender, recipient and
# custodians, alone and two at once, also while they start. What was acknowledged and shown is recorded outside
# of the nodes. At the end nothing acknowledged is lost, nothing is shown twice, the order is kept, nothing was
# repaired by hand: a table, and the exit status is 1 if a promise was broken.
#
# A failed round keeps its directories and says how to replay it. --record writes the table to
# simulations/results/kill9.txt; a campaign that was interrupted goes on at the round it was in, when it is
# started again with the same N, seed and commit.
# Needs a Rust toolchain and a C compiler. Touches one temporary directory and loopback ports only.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

KILLS=200
RECORD=
CAMPAIGN=()

usage() {
    say "usage: kill9.sh [N] [--seed S] [--round R] [--quick] [--record]" >&2
    exit 2
}

is_number() {
    case $1 in
        '' | *[!0-9]*) return 1 ;;
    esac
}

while [ "$#" -gt 0 ]; do
    case $1 in
        -h | --help)
            sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        --seed | --round)
            is_number "${2:-}" || usage
            CAMPAIGN+=("$1" "$2")
            shift
            ;;
        --quick) KILLS=200 ;;
        --record) RECORD=$ROOT/simulations/results/kill9.txt ;;
        *)
            is_number "$1" && [ "$1" -gt 0 ] || usage
            KILLS=$1
            ;;
    esac
    shift
done

PROCESS=
finish() {
    local status=$? dir
    trap - EXIT INT TERM
    if [ -n "$PROCESS" ] && kill -0 "$PROCESS" 2>/dev/null; then
        kill "$PROCESS" 2>/dev/null || true
        wait "$PROCESS" 2>/dev/null || true
    fi
    if [ -n "$WORK" ]; then
        # Of an interrupted campaign: nodes that nobody ended, each by its data directory.
        for dir in "$WORK"/round*/*/; do
            [ ! -d "$dir" ] || STARTED+=("${dir#"$WORK"/}")
        done
        stop_all
        if [ "$status" -eq 1 ] && [ -n "$(ls "$WORK")" ]; then
            say "everything is kept: $WORK" >&2
        else
            rm -rf -- "$WORK"
        fi
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

build -p murmesh-simulations
make_work
CAMPAIGN+=(--kills "$KILLS" --work "$WORK" --commit "$(commit)" --machine "$(machine)")
if [ -n "$RECORD" ]; then
    CAMPAIGN+=(--record "$RECORD" --resume "$(dirname "$BIN")/kill9.jsonl")
fi
# In the background, so that a signal to this script is served at once.
"$BIN/kill9" "${CAMPAIGN[@]}" &
PROCESS=$!
wait "$PROCESS"
