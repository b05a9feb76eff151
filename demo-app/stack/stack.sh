#!/usr/bin/env bash
# Real servers for the demo on a Debian machine: a PostgreSQL primary with a standby and two
# replicas that stream from it, and two Redis nodes. All of them listen on loopback, keep their
# files in one folder, run as an unprivileged user, and are stopped by their process ids.
#
#   stack.sh start          starts what does not run; then: tiertop-demo run --real=FOLDER/env
#   stack.sh env            prints the addresses, as `tiertop-demo run --real` reads them
#   stack.sh status         says what runs
#   stack.sh lag SECONDS    has the replicas apply changes this late; 0 for as they come
#   stack.sh pause          has the replicas apply nothing
#   stack.sh resume         has them apply changes again
#   stack.sh measure        says how far each replica is behind
#   stack.sh stop           stops all servers
#   stack.sh wipe           stops all servers and removes their files
#
# TIERTOP_STACK_DIR   the folder; /tmp/tiertop-stack by default
# TIERTOP_STACK_PORT  the first of six ports in a row; free ones by default
# TIERTOP_STACK_USER  who runs the servers when root starts them; postgres, or else nobody
#
# On Debian: apt-get install --no-install-recommends postgresql redis-server
set -euo pipefail
export LC_ALL=C

folder=${TIERTOP_STACK_DIR:-/tmp/tiertop-stack}
database=content
user=app
followers=(standby replica-a replica-b)
replicas=(replica-a replica-b)
databases=(primary "${followers[@]}")
caches=(cache-a cache-b)
servers=("${databases[@]}" "${caches[@]}")

fail() {
    echo "stack.sh: $*" >&2
    exit 1
}

# PostgreSQL refuses to run as root.
if [ "$(id -u)" = 0 ]; then
    owner=${TIERTOP_STACK_USER:-$(id -un postgres 2>/dev/null || echo nobody)}
    as_owner=(setpriv "--reuid=$owner" "--regid=$(id -g "$owner")" --clear-groups --inh-caps=-all)
else
    owner=$(id -un)
    as_owner=()
fi

# Runs a program as the servers' owner, in a folder that is there for everybody.
run() {
    (cd "$folder" && exec "${as_owner[@]}" env "HOME=$folder" "$@")
}

# Debian keeps the server's programs off the path; all are taken from one place, so of one version.
postgres_programs() {
    local place
    for place in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -Vr) $(dirname "$(command -v initdb || echo /none)"); do
        if [ -x "$place/initdb" ] && [ -x "$place/pg_basebackup" ] && [ -x "$place/pg_ctl" ]; then
            echo "$place"
            return
        fi
    done
    fail "PostgreSQL is not installed: apt-get install --no-install-recommends postgresql"
}

port_of() {
    local first number
    first=$(cat "$folder/port" 2>/dev/null) || fail "nothing was started in $folder"
    for number in "${!servers[@]}"; do
        if [ "${servers[$number]}" = "$1" ]; then
            echo $((first + number))
        fi
    done
}

addresses() {
    local name list=()
    for name in "$@"; do
        list+=("127.0.0.1:$(port_of "$name")")
    done
    (IFS=, && echo "${list[*]}")
}

pid_file() {
    case $1 in
        cache-*) echo "$folder/$1/redis.pid" ;;
        *) echo "$folder/$1/postmaster.pid" ;;
    esac
}

# Whether a process runs; one that only waits to be collected by its parent does not.
runs() {
    kill -0 "$1" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}

# The process of a server, if it runs. A file that was left behind may name a process of somebody else: each
# server works in its own folder, so a process that does not is none of ours.
pid_of() {
    local pid
    pid=$(head -1 "$(pid_file "$1")" 2>/dev/null) && [ -n "$pid" ] && runs "$pid" &&
        [ "/proc/$pid/cwd" -ef "$folder/$1" ] && echo "$pid"
}

# Whether the folder is one that start made. What else is in the way is never written to nor removed.
is_ours() {
    [ -s "$folder/port" ]
}

is_free() {
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Decides once which ports are taken, below those that the kernel hands out by itself.
choose_ports() {
    local first=${TIERTOP_STACK_PORT:-} offset
    ! is_ours || return 0
    while [ -z "$first" ]; do
        first=$((20000 + RANDOM % 12000))
        for offset in "${!servers[@]}"; do
            is_free $((first + offset)) || first=
        done
    done
    echo "$first" >"$folder/port"
}

# $1: server, $2: statement.
sql() {
    psql -X -qAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(port_of "$1")" -U "$user" -d "${3:-$database}" -c "$2"
}

# Waits until a command succeeds: $1 says what for.
wait_for() {
    local what=$1 tries
    shift
    for ((tries = 0; tries < 300; tries++)); do
        if "$@" >/dev/null 2>&1; then
            return
        fi
        sleep 0.1
    done
    fail "$what did not come up; see the logs in $folder"
}

# Data is thrown away with the folder, so nothing waits for a disk. The last line lets the demo empty it.
database_settings() {
    cat <<SETTINGS
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = $(port_of "$1")
cluster_name = '$1'
max_connections = 200
shared_buffers = 32MB
wal_level = replica
max_wal_senders = 8
max_replication_slots = 8
hot_standby = on
hot_standby_feedback = on
wal_receiver_status_interval = 1s
fsync = off
full_page_writes = off
max_wal_size = 1GB
tiertop.demo = on
SETTINGS
}

make_primary() {
    run "$programs/initdb" -D "$folder/primary" -U "$user" -A trust --no-sync --no-instructions -E UTF8 --locale=C \
        >"$folder/initdb.log" 2>&1 || fail "initdb failed; see $folder/initdb.log"
    database_settings primary | run tee -a "$folder/primary/postgresql.conf" >/dev/null
}

# A slot of its own has the primary keep what a follower that is paused has not seen.
make_follower() {
    local slot=${1//-/_}
    run "$programs/pg_basebackup" -h 127.0.0.1 -p "$(port_of primary)" -U "$user" -D "$folder/$1" \
        -X stream -c fast -R -C -S "$slot" --no-sync >"$folder/$1.copy.log" 2>&1 ||
        fail "the copy for $1 failed; see $folder/$1.copy.log"
    database_settings "$1" | run tee -a "$folder/$1/postgresql.conf" >/dev/null
}

start_database() {
    [ -z "$(pid_of "$1")" ] || return 0
    if [ ! -f "$folder/$1/PG_VERSION" ]; then
        if [ "$1" = primary ]; then make_primary; else make_follower "$1"; fi
    fi
    run "$programs/pg_ctl" -D "$folder/$1" -l "$folder/$1.log" -w -t 60 start >/dev/null ||
        fail "$1 did not start; see $folder/$1.log"
    if [ "$1" = primary ] && [ -z "$(sql primary "select 1 from pg_database where datname = '$database'" postgres)" ]; then
        sql primary "create database $database" postgres
    fi
}

all_stream() {
    [ "$(sql primary "select count(*) from pg_stat_replication where state = 'streaming'")" = "${#followers[@]}" ]
}

# The name of the dump, which is never written, lets the demo empty the cache.
start_cache() {
    [ -z "$(pid_of "$1")" ] || return 0
    run mkdir -p "$folder/$1"
    run redis-server --bind 127.0.0.1 --port "$(port_of "$1")" --dir "$folder/$1" --pidfile "$(pid_file "$1")" \
        --logfile "$folder/$1/redis.log" --daemonize yes --save '' --appendonly no \
        --maxmemory 64mb --maxmemory-policy allkeys-lru --dbfilename tiertop_demo.rdb >/dev/null
    wait_for "$1" redis-cli -h 127.0.0.1 -p "$(port_of "$1")" ping
}

start() {
    local name
    programs=$(postgres_programs)
    command -v redis-server >/dev/null || fail "Redis is not installed: apt-get install --no-install-recommends redis-server"
    if [ ! -e "$folder" ]; then
        mkdir -m 700 "$folder"
        chown "$owner" "$folder"
    elif ! is_ours && [ -n "$(ls -A "$folder")" ]; then
        fail "$folder holds something else; name another folder by TIERTOP_STACK_DIR"
    fi
    choose_ports
    for name in "${databases[@]}"; do start_database "$name"; done
    wait_for replication all_stream
    for name in "${caches[@]}"; do start_cache "$name"; done
    environment >"$folder/env"
    status
}

environment() {
    echo "TIERTOP_DEMO_PG_PRIMARY=$(addresses primary)"
    echo "TIERTOP_DEMO_PG_STANDBY=$(addresses standby)"
    echo "TIERTOP_DEMO_PG_REPLICAS=$(addresses "${replicas[@]}")"
    echo "TIERTOP_DEMO_PG_DATABASE=$database"
    echo "TIERTOP_DEMO_PG_USER=$user"
    echo "TIERTOP_DEMO_REDIS=$(addresses "${caches[@]}")"
}

status() {
    local name pid
    for name in "${servers[@]}"; do
        if pid=$(pid_of "$name"); then
            printf '%-10s %-16s pid %s\n' "$name" "$(addresses "$name")" "$pid"
        else
            printf '%-10s down\n' "$name"
        fi
    done
}

stop() {
    local name pid tries
    # Followers first: a primary that shuts down waits for them to have everything.
    for name in "${caches[@]}" "${followers[@]}" primary; do
        pid=$(pid_of "$name") || continue
        # SIGINT is PostgreSQL's fast shutdown, and ends Redis as well.
        kill -INT "$pid"
        for ((tries = 0; tries < 100; tries++)); do
            runs "$pid" || break
            sleep 0.1
        done
        if runs "$pid"; then
            # SIGQUIT ends a PostgreSQL server and all of its processes at once.
            kill -QUIT "$pid"
            sleep 1
            ! kill -KILL "$pid" 2>/dev/null || echo "killed $name ($pid)"
        fi
        echo "stopped $name ($pid)"
    done
}

each_replica() {
    local name
    for name in "${replicas[@]}"; do
        sql "$name" "$1" >/dev/null
    done
}

lag() {
    [[ $1 =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail "$1 is no number of seconds"
    each_replica "alter system set recovery_min_apply_delay = '$(awk "BEGIN { print int($1 * 1000) }")ms'"
    each_replica "select pg_reload_conf()"
}

measure() {
    local name
    for name in "${replicas[@]}"; do
        # The heartbeat is the demo's; without it an idle primary makes its replicas look old.
        printf '%-10s heartbeat %s s old, %s bytes to replay\n' "$name" \
            "$(sql "$name" "select round(extract(epoch from clock_timestamp() - at), 3) from heartbeat" 2>/dev/null || echo unknown)" \
            "$(sql "$name" "select pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn()")"
    done
}

case ${1:-help} in
    start) start ;;
    env) environment ;;
    status) status ;;
    lag) lag "${2:?how many seconds?}" ;;
    pause) each_replica "select pg_wal_replay_pause()" ;;
    resume) each_replica "select pg_wal_replay_resume()" ;;
    measure) measure ;;
    stop) stop ;;
    wipe)
        [ -e "$folder" ] || exit 0
        is_ours || fail "$folder is none that start made; nothing is removed"
        stop
        rm -rf "$folder"
        ;;
    *)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
        exit 2
        ;;
esac
