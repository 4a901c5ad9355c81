#!/usr/bin/env bash
# Fuzzes every decoder of the core, and its machines with sequences of frames (simulations/fuzz).
#
#   fuzz.sh [MINUTES] [TARGET...]   so many minutes of CPU time each (20), all targets if none is named; one line
#                                   each is added to simulations/results/fuzz.txt; before them the property
#                                   tests of all decoders, with new dice
#   fuzz.sh --quick                 what CI has time for: 20 CPU-s of the targets that strangers reach; without
#                                   cargo-fuzz the corpora are replayed by the core's tests only
#   fuzz.sh --keep [FILES]          adds to the committed corpora at most so many files a target (12): the
#                                   smallest of those found that reach what the corpus does not
#   fuzz.sh --totals                CPU-minutes of each target so far, from the results
#
# cargo-fuzz needs nothing but the stable toolchain: cargo install --locked cargo-fuzz
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=lib.sh
source simulations/scripts/lib.sh
export RUSTC_BOOTSTRAP=1 CARGO_TERM_COLOR=never
FUZZ=simulations/fuzz
RESULTS=simulations/results/fuzz.txt
INPUT_BYTES_MAX=16384
KEPT_BYTES_MAX=2048

targets() { for file in "$FUZZ"/targets/*.rs; do basename "$file" .rs; done; }

# Where the targets are built; prints the directory.
build() {
    (cd "$FUZZ" && cargo fuzz build >&2)
    for binary in "$FUZZ"/target/*/release/frame; do dirname "$binary"; done | head -n 1
}

# Runs one target for so many seconds of wall time; the log is its output, LOG.cpu its CPU seconds.
run() { # DIRECTORY TARGET SECONDS LOG
    mkdir -p "$FUZZ/target/corpus/$2" "$FUZZ/artifacts/$2"
    local status=0
    TIMEFORMAT='cpu %U %S'
    { time nice -n 15 "$1/$2" "$FUZZ/target/corpus/$2" "$FUZZ/corpus/$2" -max_total_time="$3" \
        -max_len="$INPUT_BYTES_MAX" -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$FUZZ/artifacts/$2/" >"$4" 2>&1; } 2>"$4.cpu" || status=$?
    return "$status"
}

# The CPU seconds of a finished run.
cpu() { awk '/^cpu/ { print int($2 + $3 + 0.5) }' "$1.cpu"; } # LOG

# Runs one target, again and again on what it has found, until it had so many seconds of CPU time, however busy
# the machine is: LOG is the last run's, LOG.all has the CPU seconds and executions of each.
run_cpu() { # DIRECTORY TARGET SECONDS LOG
    local status=0 left=$3
    : >"$4.all"
    while [ "$status" = 0 ] && [ "$left" -gt 0 ]; do
        run "$1" "$2" "$((left < 10 ? 10 : left))" "$4" || status=$?
        printf '%s %s\n' "$(cpu "$4")" "$(executions "$4")" >>"$4.all"
        left=$((left - $(cpu "$4")))
    done
    return "$status"
}

executions() { awk '/stat::number_of_executed_units/ { n = $2 } END { print n + 0 }' "$1"; } # LOG

# The results line of a target's runs.
line() { # TARGET LOG STATUS
    local cpu executions coverage files crashes=0
    read -r cpu executions < <(awk '{ cpu += $1; n += $2 } END { print cpu + 0, n + 0 }' "$2.all")
    coverage=$(grep -o 'cov: [0-9]*' "$2" | tail -n 1 | cut -d ' ' -f 2)
    files=$(find "$FUZZ/corpus/$1" "$FUZZ/target/corpus/$1" -type f | wc -l)
    [ "$3" = 0 ] || crashes=1
    printf '%s %-10s %6s CPU-s %10s executions %5s edges %5s files %s crashes\n' \
        "$(git rev-parse --short HEAD)" "$1" "$cpu" "$executions" "${coverage:-?}" "$files" "$crashes"
}

header() {
    [ -f "$RESULTS" ] && return
    mkdir -p "$(dirname "$RESULTS")"
    cat >"$RESULTS" <<TEXT
# simulations/scripts/fuzz.sh [MINUTES] [TARGET...]: one line a run. A run under ASan asserts for each input: no
# panic, at most 4 x input + 64 KiB allocated at once (decoders), formats read back, machines alive at the end.
# commit, target, CPU time, executions, edges reached, files of the corpus, crashes
TEXT
}

# The property tests of all decoders with other inputs than every `cargo test` has.
dice() {
    local seed=$((RANDOM * 32768 + RANDOM))
    echo "property tests, PROPTEST_RNG_SEED=$seed"
    PROPTEST_RNG_SEED=$seed env -u RUSTC_BOOTSTRAP cargo test -q --workspace --lib --bins decoders:: >&2
}

campaign() { # MINUTES TARGET...
    local minutes=$1 directory log=/dev/null status failed=0
    shift
    dice
    directory=$(build)
    header
    printf '# %s, %s\n' "$(machine)" "$(rustc --version)" >>"$RESULTS"
    for target in "$@"; do
        log="$FUZZ/target/$target.log"
        status=0
        run_cpu "$directory" "$target" "$((minutes * 60))" "$log" || status=$?
        line "$target" "$log" "$status" | tee -a "$RESULTS"
        if [ "$status" != 0 ]; then
            failed=1
            grep -A 4 -m 1 -E 'panicked at|ERROR: ' "$log" || tail -n 5 "$log"
        fi
    done
    return "$failed"
}

quick() {
    if ! cargo fuzz --version >/dev/null 2>&1; then
        echo "cargo-fuzz is not here: the corpora are replayed by the core's tests"
        cargo test -q -p murmesh-protocol --lib decoders::
        cargo test -q -p murmesh-protocol --test it sequences_replayed::
        return
    fi
    local directory status failed=0
    directory=$(build)
    for target in frame content messenger keeper; do
        status=0
        run_cpu "$directory" "$target" 20 "$FUZZ/target/$target.log" || status=$?
        line "$target" "$FUZZ/target/$target.log" "$status"
        [ "$status" = 0 ] || failed=1
    done
    return "$failed"
}

keep() { # FILES
    local directory merged
    directory=$(build)
    for target in $(targets); do
        [ -d "$FUZZ/target/corpus/$target" ] || continue
        merged="$FUZZ/target/merged/$target"
        rm -rf "$merged" && mkdir -p "$merged"
        cp "$FUZZ/corpus/$target/"* "$merged/"
        "$directory/$target" -merge=1 -max_len="$KEPT_BYTES_MAX" "$merged" "$FUZZ/target/corpus/$target" >/dev/null 2>&1
        for file in "$merged"/*; do
            [ -e "$FUZZ/corpus/$target/$(basename "$file")" ] || wc -c "$file"
        done | sort -n | sed -n "1,$1p" | while read -r bytes file; do
            [ "$bytes" -gt "$KEPT_BYTES_MAX" ] || cp "$file" "$FUZZ/corpus/$target/"
        done
        echo "$target: $(find "$FUZZ/corpus/$target" -type f | wc -l) files"
    done
}

case "${1:-}" in
--quick) quick ;;
--keep) keep "${2:-12}" ;;
--totals) awk '!/^#/ { cpu[$2] += $3; runs[$2] += $5 } END { for (t in cpu) printf "%-10s %6.1f CPU-min %12d executions\n", t, cpu[t] / 60, runs[t] }' "$RESULTS" | sort ;;
-h | --help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' ;;
*)
    minutes=${1:-20}
    [ $# -gt 0 ] && shift
    # shellcheck disable=SC2046
    [ $# -gt 0 ] || set -- $(targets)
    campaign "$minutes" "$@"
    ;;
esac
