#!/usr/bin/env bash
# instructions.sh [--record]: how many instructions sealing, opening (1 KiB) and admitting take, counted under valgrind.
#
# Compares with simulations/results/instructions.txt and fails when one has changed by more than 5 %, in either direction: a
# change that was meant is recorded with --record. Counts are those of a compiler and a kind of processor; the file names both.
# Needs valgrind (Debian: apt-get install valgrind) and gungraun-runner (cargo install gungraun-runner --version 0.20.0); says so
# and ends well where they are missing. Builds a workspace of its own, simulations/costs.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RECORDED=$ROOT/simulations/results/instructions.txt
case "${1:-}" in
    -h | --help)
        sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    '' | --record) ;;
    *)
        say "usage: instructions.sh [--record]" >&2
        exit 2
        ;;
esac
for program in valgrind "${GUNGRAUN_RUNNER:-gungraun-runner}"; do
    command -v "$program" >/dev/null || {
        say "skipped: $program is not here"
        exit 0
    }
done

COUNTED=$(mktemp)
trap 'rm -f "$COUNTED" "$COUNTED.all"' EXIT
# Lines of the form "instructions::costs::seal one_kib:…" and "  Instructions:  1234|…".
(cd "$ROOT/simulations/costs" && GUNGRAUN_COLOR=never cargo bench --bench instructions) >"$COUNTED.all"
awk '/::/ { split($1, path, "::"); name = path[3] }
    /^ *Instructions:/ { split($2, count, "|"); print name, count[1] }' "$COUNTED.all" >"$COUNTED"
[ "$(wc -l <"$COUNTED")" -eq 3 ] || {
    cat "$COUNTED.all" >&2
    say "the counts were not understood" >&2
    exit 1
}
cat "$COUNTED"
if [ "${1:-}" = --record ]; then
    # Made before the file is: that is a change, too.
    head="# instructions.sh --record; commit $(commit); $(machine); $(rustc --version)"
    { say "$head" && cat "$COUNTED"; } >"$RECORDED"
    exit
fi
awk 'FILENAME == ARGV[1] && !/^#/ { was[$1] = $2 }
    FILENAME == ARGV[2] {
        if (!($1 in was)) { print $1 ": not recorded"; bad = 1; next }
        change = ($2 - was[$1]) / was[$1] * 100
        if (change > 5 || change < -5) { printf "%s: %d, was %d: %+.1f %%\n", $1, $2, was[$1], change; bad = 1 }
    }
    END { exit bad }' "$RECORDED" "$COUNTED" || {
    say "changed by more than 5 %: if it was meant, instructions.sh --record" >&2
    exit 1
}
