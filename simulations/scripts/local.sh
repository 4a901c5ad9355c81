#!/usr/bin/env bash
# local.sh [N]: a network of N custodians (5 unless given) on loopback to play in, until Ctrl-C.
# Prints what to type next. Touches one temporary directory and loopback ports only.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

N=${1:-5}
case $N in
    '' | *[!0-9]* | 0)
        say "usage: local.sh [N], with N at least 1" >&2
        exit 2
        ;;
esac

finish() {
    trap - EXIT INT TERM
    if [ -n "$WORK" ]; then
        say ""
        say "stopping the nodes in $WORK and removing it"
        # Nodes that were started by hand in this directory go with it.
        STARTED=()
        local dir
        for dir in "$WORK"/*/; do
            [ ! -d "$dir" ] || STARTED+=("$(basename "$dir")")
        done
        stop_all
        rm -rf -- "$WORK"
    fi
}
trap finish EXIT
trap 'exit 0' INT TERM

build
make_work
FIRST=
for number in $(seq 1 "$N"); do
    name=c$number
    # shellcheck disable=SC2086 # absent for the first node: no argument at all
    document=$(start "$name" ${FIRST:+--peer "$FIRST"}) || {
        say "$name did not start: $document" >&2
        exit 1
    }
    address=$(first_address <<<"$document")
    FIRST=${FIRST:-$address}
    say "$name: process $(field pid <<<"$document"), $address"
done

cat <<TEXT

$N custodians run. In a second terminal, alice:

  export PATH="$BIN:\$PATH" MURMESH_DATA_DIR=$WORK/alice
  murmesh init --name alice
  murmesh up --listen $LOOPBACK --peer $FIRST
  murmesh invite > $WORK/ticket

In a third one, bob, who knows no address at all:

  export PATH="$BIN:\$PATH" MURMESH_DATA_DIR=$WORK/bob
  murmesh init --name bob
  murmesh up --listen $LOOPBACK
  murmesh add @$WORK/ticket
  murmesh send alice "hello"
  murmesh down

Bob is away; alice writes to him, and leaves too:

  murmesh read bob
  murmesh send bob "there?" --wait held
  murmesh down

Bob is back (a node that was started with --listen listens there again):

  murmesh read alice --follow

Ctrl-C here stops everything in $WORK and removes it.
TEXT
while :; do
    sleep 1
done
