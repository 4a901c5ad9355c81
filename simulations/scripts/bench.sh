#!/usr/bin/env bash
# bench.sh [--quick] [--record] [-- OPTIONS]: what murmesh costs on this machine, beside what the machine can do
# at all in the same run. Real processes on loopback, durable on both sides; one JSON object a line, each figure
# the median of several runs with the lowest and highest. Sealing and opening are held against vodozemac's Olm.
#
# Builds with --release, which takes many minutes once. --quick takes the build of the tests and one short run: it
# shows that everything can be measured, and its figures mean nothing. --record writes simulations/results/bench.jsonl.
# OPTIONS are those of the program (target/release/bench --help).
# Needs a Rust toolchain and a C compiler. Touches temporary directories and loopback ports only.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PROFILE=--release
RECORD=
MEASURES=()
while [ "$#" -gt 0 ]; do
    case $1 in
        -h | --help)
            sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        --quick)
            PROFILE=
            MEASURES=(--runs 1 --texts 500 --singles 20 --deposits 300 --idle-seconds 1 --peers 3)
            ;;
        --record) RECORD=$ROOT/simulations/results/bench.jsonl ;;
        --)
            shift
            MEASURES+=("$@")
            break
            ;;
        *)
            say "usage: bench.sh [--quick] [--record] [-- OPTIONS]" >&2
            exit 2
            ;;
    esac
    shift
done

build -p murmesh-simulations ${PROFILE:+"$PROFILE"} >&2
MEASURES+=(--commit "$(commit)" --machine "$(machine)")

measure() {
    "$BIN/bench" "${MEASURES[@]}"
    if [ -z "$PROFILE" ]; then
        say "not beside Olm: that is a release build of its own (simulations/costs)" >&2
        return
    fi
    (cd "$ROOT/simulations/costs" && cargo run --quiet --release --bin olm)
}

if [ -n "$RECORD" ]; then
    measure | tee "$RECORD.new"
    mv "$RECORD.new" "$RECORD"
else
    measure
fi
