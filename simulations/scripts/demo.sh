#!/usr/bin/env bash
# Seven real nodes on this machine, and what murmesh promises about them: no server, messages to people
# who are away, dead machines in between. Ends with a table; the exit status is 1 if a promise was broken.
#
# Needs a Rust toolchain and a C compiler. Touches one temporary directory and loopback ports only.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-} in
    '') ;;
    -h | --help)
        sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *)
        say "usage: demo.sh, without arguments" >&2
        exit 2
        ;;
esac

CUSTODIANS=(c1 c2 c3 c4 c5)
AWAY=("are you there?" "the ferry leaves at nine" "I left the key with zoe")
RESULTS=()
BROKEN=0

finish() {
    local status=$?
    trap - EXIT INT TERM
    stop_all
    if [ -n "$WORK" ]; then
        if [ "$status" -eq 0 ]; then
            rm -rf -- "$WORK"
        else
            say "logs are kept: $WORK/*/murmeshd.log" >&2
        fi
    fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() { printf '\n== %s\n' "$*"; }

# typed NAME TEXT...: what is typed on somebody's machine. The script adds --json, to read the answers.
typed() {
    local name=$1
    shift
    say "  $name\$ murmesh $*"
}

# show NAME ARGS...: what a person would type and see.
show() {
    typed "$@"
    local name=$1
    shift
    murmesh "$name" "$@" 2>&1 | sed 's/^/  /' || true
}

# A ticket is a secret, and long: enough of it to see what it is.
shortened() {
    local ticket=$1
    say "  ${ticket:0:24}… (${#ticket} characters)"
}

# promise TEXT COMMAND...: runs the command and writes down whether the promise was kept.
promise() {
    local text=$1
    shift
    if "$@"; then
        RESULTS+=("kept    $text")
        say "  kept: $text"
    else
        RESULTS+=("BROKEN  $text")
        BROKEN=1
        say "  BROKEN: $text"
    fi
}

# An account, if it shall have one, and a node.
bring_up() {
    local name=$1 document
    shift
    STARTED+=("$name")
    typed "$name" up --listen "$LOOPBACK" "$@"
    if ! document=$(start "$name" "$@"); then
        say "$name did not start: $document" >&2
        exit 1
    fi
    field pid <<<"$document" >"$WORK/$name.pid"
    first_address <<<"$document" >"$WORK/$name.address"
    say "  running: process $(cat "$WORK/$name.pid"), listening on $(cat "$WORK/$name.address")"
}

# ---- What the promises check ---------------------------------------------------------------------

# knows_all_keepers NAME: five nodes that keep mail, and the other person's.
knows_all_keepers() {
    local known
    known=$(murmesh "$1" --json status | field custodians_known)
    [ "${known:-0}" -ge 6 ]
}

seven_run() {
    local name running=0
    for name in "${STARTED[@]}"; do
        # Status 9 is a node that runs and has something to say.
        murmesh "$name" status --json >"$WORK/status" || [ "$?" -eq 9 ] || continue
        [ "$(field state <"$WORK/status")" != running ] || running=$((running + 1))
    done
    [ "$running" -ge 7 ]
}

connected() {
    murmesh "$1" contact show "$2" --json >"$WORK/contact" || return 1
    [ "$(field state <"$WORK/contact")" = connected ]
}

introduce() {
    typed alice invite
    murmesh alice invite --json | field ticket >"$WORK/ticket"
    shortened "$(cat "$WORK/ticket")"
    typed bob "add - --wait connected --timeout 20s      # and the ticket on standard input"
    murmesh bob add - --wait connected --timeout 20s --json <"$WORK/ticket" >"$WORK/added" || return 1
    say "  $(field contact <"$WORK/added") is $(field state <"$WORK/added")"
    until_ok 10 connected alice bob
}

# Sends and waits for the recipient's own word; tells how long it took.
delivered_online() {
    typed "$1" "send $2 \"$3\" --wait delivered --timeout 15s"
    murmesh "$1" send "$2" "$3" --wait delivered --timeout 15s --json >"$WORK/sent" || return 1
    say "  delivered to $2 in $(field after_ms <"$WORK/sent") ms ($(field path <"$WORK/sent"))"
    [ "$(murmesh "$2" read "$1" --json | count "\"text\":\"$3\"")" = 1 ]
}

# The states of all messages sent while bob was away.
send_while_away() {
    local text
    : >"$WORK/ids"
    for text in "${AWAY[@]}"; do
        typed alice "send bob \"$text\" --wait held --timeout 20s"
        if ! murmesh alice send bob "$text" --wait held --timeout 20s --json >"$WORK/sent"; then
            say "  \"$text\" is only $(field state <"$WORK/sent")"
            field id <"$WORK/sent" >>"$WORK/ids"
            return 1
        fi
        field id <"$WORK/sent" >>"$WORK/ids"
        say "  held by $(field held <"$WORK/sent") of $(field want <"$WORK/sent")"
    done
    say "  (held: at least four keep it, or all where fewer are known, so alice may leave; the count still"
    say "  rises to the number wanted, which is eight or all that are known)"
}

all_with_bob() {
    local text
    murmesh bob read alice --limit 1000 --json >"$WORK/read" || return 1
    for text in "${AWAY[@]}"; do
        [ "$(count "\"text\":\"$text\"" <"$WORK/read")" -ge 1 ] || return 1
    done
}

arrive_within_ten_seconds() {
    local started took
    started=$(now_ms)
    until_ok 30 all_with_bob || return 1
    took=$(($(now_ms) - started))
    say "  all ${#AWAY[@]} are with bob, $took ms after his node was up"
    [ "$took" -le 10000 ]
}

each_once() {
    local text
    murmesh bob read alice --limit 1000 --json >"$WORK/read" || return 1
    for text in "hello bob" "${AWAY[@]}"; do
        [ "$(count "\"text\":\"$text\"" <"$WORK/read")" = 1 ] || return 1
    done
}

all_delivered() {
    local id
    while read -r id; do
        case $(murmesh alice why "$id" --json | field state) in
            delivered | read) ;;
            *) return 1 ;;
        esac
    done <"$WORK/ids"
    [ -s "$WORK/ids" ]
}

custodians_keep_no_clear_text() {
    local name text
    for name in "${CUSTODIANS[@]}"; do
        for text in "${AWAY[@]}"; do
            ! grep -r -q -F -e "$text" "$WORK/$name" || return 1
        done
    done
}

# ---- The story -----------------------------------------------------------------------------------

build
make_work

step "five nodes that belong to nobody in particular; they keep mail for others"
bring_up c1
FIRST=$(cat "$WORK/c1.address")
for name in c2 c3 c4 c5; do
    bring_up "$name" --peer "$FIRST"
done

step "alice and bob, each on a machine of their own; bob knows no address at all"
typed alice init --name alice
murmesh alice --quiet init --name alice | sed 's/^/  /'
typed bob init --name bob
murmesh bob --quiet init --name bob | sed 's/^/  /'
bring_up alice --peer "$FIRST"
bring_up bob
promise "seven nodes run, none of them a server" seven_run

step "alice makes a ticket, bob types it in"
promise "a ticket is all that is needed to be connected" introduce
show alice contact list

step "both are online"
promise "a message reaches bob" delivered_online alice bob "hello bob"
promise "and one reaches alice" delivered_online bob alice "hello alice"

step "bob closes his laptop; alice writes to him"
# Not before he knows where to come back to: a few hundred milliseconds after he came.
until_ok 30 knows_all_keepers bob
show bob down
promise "messages to somebody who is away are held by others" send_while_away
show alice outbox list

step "alice leaves too, and two of the five die: one by kill -9"
show alice down
say "  c2\$ kill -9 $(cat "$WORK/c2.pid")"
kill -9 "$(cat "$WORK/c2.pid")"
show c3 down
say "  (three seconds pass)"
sleep 3

step "bob opens his laptop"
bring_up bob
promise "all arrive within 10 s although the sender and two custodians are gone" arrive_within_ten_seconds
show bob read alice
promise "each message arrived exactly once" each_once

step "alice comes back"
bring_up alice --peer "$FIRST"
promise "she learns that they were delivered" until_ok 20 all_delivered
show alice why "$(head -n 1 "$WORK/ids")"

promise "no custodian's disk holds a text in clear" custodians_keep_no_clear_text

step "promises"
printf '  %s\n' "${RESULTS[@]}"
[ "$BROKEN" -eq 0 ] || exit 1
say ""
say "seven nodes, no server; took $SECONDS s with the build"
