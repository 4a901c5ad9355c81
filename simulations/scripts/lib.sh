# Shared by the scripts beside it; sourced, not run. Bash 3.2 and newer; needs neither jq nor python.
# Nodes are started through `murmesh up`, as a user would, and stopped through `murmesh down`, which
# ends the node of one data directory and nothing else.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN="${CARGO_TARGET_DIR:-$ROOT/target}/debug"
LOOPBACK=/ip4/127.0.0.1/tcp/0
WORK=
STARTED=()

say() { printf '%s\n' "$*"; }

# build [ARGS...]: builds what is needed, in the profile that the tests use too; ARGS name more packages,
# or `--release`, after which BIN is where it is.
build() {
    say "building (a fresh clone takes some minutes, once)"
    (cd "$ROOT" && cargo build -p murmesh-node -p murmesh-cli "$@") || {
        say "the build failed" >&2
        exit 1
    }
    case " $* " in *" --release "*) BIN="${CARGO_TARGET_DIR:-$ROOT/target}/release" ;; esac
}

# A directory with a short path: a socket's path is limited to 100 bytes.
make_work() {
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/murmesh.XXXXXX")
    # Nothing of the user's own murmesh is used or touched.
    unset MURMESH_DATA_DIR MURMESH_PASSPHRASE_FILE
    export XDG_CONFIG_HOME=$WORK/config
}

# murmesh NAME ARGS...: the command line of the node NAME.
murmesh() {
    local name=$1
    shift
    "$BIN/murmesh" --data-dir "$WORK/$name" "$@"
}

# field NAME: the first value of a field in a JSON document on stdin. Only for values without quotes and
# commas, which ids, states, numbers, tickets and addresses are.
field() {
    grep -o "\"$1\":\"\{0,1\}[^\",}]*" | head -n 1 | sed "s/^\"$1\":\"\{0,1\}//"
}

# first_address: the first listening address in a document of `up` or `status`.
first_address() {
    sed -n 's/.*"listen":\["\([^"]*\)".*/\1/p'
}

# count TEXT: how often TEXT is in stdin.
count() {
    { grep -o -F -- "$1" || true; } | wc -l | tr -d ' '
}

# start NAME ARGS...: a node on loopback; its document goes to stdout. The caller adds NAME to STARTED.
start() {
    local name=$1
    shift
    murmesh "$name" up --json --listen "$LOOPBACK" "$@"
}

now_ms() {
    if [ -n "${EPOCHREALTIME:-}" ]; then
        local micros=${EPOCHREALTIME/[.,]/}
        say $((micros / 1000))
    else
        say $(($(date +%s) * 1000))
    fi
}

# until_ok SECONDS COMMAND...: tries until the command succeeds.
until_ok() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

# Stops the nodes that were started here, each by its data directory.
stop_all() {
    local name
    for name in ${STARTED[@]+"${STARTED[@]}"}; do
        "$BIN/murmesh" --data-dir "$WORK/$name" --quiet down >/dev/null 2>&1 || true
    done
}

# What is built and what it runs on, for recorded results.
commit() {
    local commit
    commit=$(git -C "$ROOT" rev-parse --short=12 HEAD 2>/dev/null) || commit=unknown
    [ -z "$(git -C "$ROOT" status --porcelain 2>/dev/null)" ] || commit="$commit with changes"
    say "$commit"
}

machine() {
    local model
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
    say "$(uname -srm), $(getconf _NPROCESSORS_ONLN) cores${model:+ of $model}"
}
