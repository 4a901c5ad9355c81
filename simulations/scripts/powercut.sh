#!/usr/bin/env bash
# Cuts the power of nodes' disks in the middle of whatever they are doing, and fails every call of a disk
# in turn, under the real machines and the real SQLite stores (node/src/driver/tests/power.rs).
#
#   simulations/scripts/powercut.sh            500 cuts and every twelfth call, as CI does
#   simulations/scripts/powercut.sh 100000     so many cuts and every call; kept in simulations/results/
#   ... --seed S      begins with story S; with one cut that is the story alone
#   ... --minutes M   ends after so long, whatever is reached
#   ... --threads T   plays so many stories at once
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=lib.sh
source simulations/scripts/lib.sh
cuts=500 seed=1 minutes=600 threads=1 full=
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) cuts=500 full= ;;
        --seed) seed=$2; shift ;;
        --minutes) minutes=$2; shift ;;
        --threads) threads=$2; shift ;;
        [0-9]*) cuts=$1; [ "$cuts" -lt 10000 ] || full=1 ;;
        *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift
done
export MURMESH_POWER_CUTS=$cuts MURMESH_POWER_SEED=$seed MURMESH_POWER_MINUTES=$minutes MURMESH_POWER_THREADS=$threads
run() { cargo test -q -p murmesh-node --lib -- --exact --nocapture "driver::tests::power::$1" 2>&1; }
if [ -z "$full" ]; then
    run no_cut_takes_what_was_acknowledged
    [ "$cuts" -lt 500 ] || run sweep::whichever_call_fails_nothing_acknowledged_is_lost_and_all_goes_on
    exit
fi

result=simulations/results/powercut.txt
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run no_cut_takes_what_was_acknowledged | tee "$log"
MURMESH_POWER_STEP=1 run sweep::whichever_call_fails_nothing_acknowledged_is_lost_and_all_goes_on | tee -a "$log"
mkdir -p "$(dirname "$result")"
{
    echo "command: simulations/scripts/powercut.sh $cuts --seed $seed --minutes $minutes --threads $threads"
    echo "commit:  $(commit)"
    echo "date:    $(date -u +%F)"
    echo "machine: $(machine)"
    grep -E '^(powercut|sweep): ' "$log"
} >"$result"
cat "$result"
