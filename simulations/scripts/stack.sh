#!/usr/bin/env bash
# Plays the node's own swarm, machines and stores under virtual time (simulations/stack), each scenario twice
# with one seed: it must hold what it promises, and both times leave the same trace.
#
#   simulations/scripts/stack.sh             every scenario in its usual size, seed 1
#   simulations/scripts/stack.sh --quick     smaller ones, as CI does
#   ... --seed S     begins with this seed
#   ... --seeds K    so many seeds, one after another
#   ... --nodes N    so many nodes
#   ... --only NAME  this scenario: join, storm, peers, kept, loss, regions or custody
#   ... --record     kept in simulations/results/stack.txt
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=lib.sh
source simulations/scripts/lib.sh
arguments="$*" seed=1 seeds=1 nodes='' only='' quick='' record=''
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) quick=1 ;;
        --seed) seed=$2; shift ;;
        --seeds) seeds=$2; shift ;;
        --nodes) nodes=$2; shift ;;
        --only) only=$2; shift ;;
        --record) record=1 ;;
        *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift
done
STACK=simulations/stack/target/debug/stack
say "building (libp2p with a virtual clock: some minutes, once)"
cargo build --locked -q --manifest-path simulations/stack/Cargo.toml

# play SCENARIO SEED NODES: what it prints, the second time compared with the first.
play() {
    local scenario=$1 first second began
    shift
    began=$(now_ms)
    first=$("$STACK" "$scenario" "$@") || { say "stack $scenario $* fails" >&2; return 1; }
    say "$first" | grep -v '^trace: '
    second=$("$STACK" "$scenario" "$@")
    if [ "$(say "$first" | grep '^trace: ')" != "$(say "$second" | grep '^trace: ')" ]; then
        say "stack $scenario $*: two runs differ" >&2
        return 1
    fi
    say "$first" | sed -n "s/^trace: /$scenario $*: the same trace twice, /p" | sed "s/\$/, in $(($(now_ms) - began)) ms/"
}

# In the size that CI has time for.
small() {
    case "$1" in
        join) say 20 ;;
        storm) say 15 ;;
        peers) say 25 ;;
        kept) say 12 ;;
        loss) say 4 ;;
        regions) say 15 ;;
        custody) say 20 ;;
    esac
}

log=$(mktemp) built=$(commit)
trap 'rm -f "$log"' EXIT
status=0
for scenario in join storm peers kept loss regions custody; do
    [ -z "$only" ] || [ "$only" = "$scenario" ] || continue
    for s in $(seq "$seed" $((seed + seeds - 1))); do
        size=$nodes
        [ -z "$quick" ] || [ -n "$nodes" ] || size=$(small "$scenario")
        play "$scenario" --seed "$s" ${size:+--nodes "$size"} | tee -a "$log" || status=1
    done
done
if [ -n "$record" ]; then
    mkdir -p simulations/results
    {
        say "command: simulations/scripts/stack.sh $arguments"
        say "commit:  $built"
        say "date:    $(date -u +%F)"
        say "machine: $(machine)"
        cat "$log"
    } >simulations/results/stack.txt
fi
exit "$status"
