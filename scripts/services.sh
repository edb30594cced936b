#!/usr/bin/env bash
# Redis, RabbitMQ and PostgreSQL for development and tests: private ones, on free ports of this machine only, with all
# that they write in one folder. What else tests need of the system (Chromium for the page, Node for an example,
# Prometheus for its rules) is installed too.
#
#   scripts/services.sh install                      with apt, those that are missing, and what else tests need
#   scripts/services.sh start [FOLDER [SERVICE…]]    .services, all three; writes FOLDER/env
#   scripts/services.sh stop [FOLDER]                exactly those that were started there
set -euo pipefail
cd "$(dirname "$0")/.."

READY_SECONDS=120
STOP_SECONDS=20

redis_server() { command -v redis-server; }
# Debian's own command starts it as the system's user, in the system's folders.
rabbitmq_server() { find /usr/lib/rabbitmq/bin/rabbitmq-server 2>/dev/null || command -v rabbitmq-server; }
postgres_bin() {
    local initdb
    initdb=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -1)
    initdb=${initdb:-$(command -v initdb)} && dirname "$initdb"
}

browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

install_missing() {
    local missing=()
    command -v ps >/dev/null || missing+=(procps)
    redis_server >/dev/null || missing+=(redis-server)
    rabbitmq_server >/dev/null || missing+=(rabbitmq-server)
    postgres_bin >/dev/null || missing+=(postgresql)
    browser >/dev/null || missing+=(chromium)
    # With promtool; tests start it themselves.
    command -v prometheus >/dev/null || missing+=(prometheus)
    command -v node >/dev/null || missing+=(nodejs)
    PATH=$PATH:/usr/sbin command -v nginx >/dev/null || missing+=(nginx-light)
    command -v openssl >/dev/null || missing+=(openssl)
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    [ ${#missing[@]} -gt 0 ] || return 0
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        echo "missing: ${missing[*]}. Install them (Debian, Ubuntu: sudo apt-get install ${missing[*]})," \
            "then run this again" >&2
        return 1
    fi
    echo "installing ${missing[*]}"
    "${as_root[@]}" apt-get -q update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install --yes --no-install-recommends "${missing[@]}"
}

# ports NAME COUNT: those of the last start, if they are still free, else others.
ports() {
    python3 - "$folder/$1.ports" "$2" <<'PYTHON'
import pathlib, socket, sys
file, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
before = [int(port) for port in file.read_text().split()] if file.exists() else []
try:
    probes = [socket.create_server(("127.0.0.1", port)) for port in before or [0] * count]
except OSError:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
ports = " ".join(str(probe.getsockname()[1]) for probe in probes)
file.write_text(ports)
print(ports)
PYTHON
}

# A pid may have been given to another process since: FOLDER/NAME.pid counts while its command line says MARK.
is_running() {
    local name=$1 pid mark
    [ -f "$folder/$name.pid" ] || return 1
    read -r pid mark <"$folder/$name.pid"
    ps -ww -o args= -p "$pid" 2>/dev/null | grep -qF -- "$mark"
}

# launch NAME MARK COMMAND…: in a session of its own, so that Ctrl-C in this terminal does not end it.
launch() {
    local name=$1 mark=$2
    shift 2
    $(command -v setsid) "$@" </dev/null >"$folder/$name.log" 2>&1 &
    echo "$! $mark" >"$folder/$name.pid"
}

# The first byte of what PORT answers to $2.
answer_of() {
    timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$1 && printf '$2' >&3 && head -c 1 <&3" 2>/dev/null | tr -d '\0'
}

wait_until_ready() {
    local name=$1 pid deadline=$((SECONDS + READY_SECONDS))
    read -r pid _ <"$folder/$name.pid"
    until "${name}_answers"; do
        if ! kill -0 "$pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
            echo "$name did not become ready; its log:" >&2
            tail -n 30 "$folder/$name.log" >&2
            return 1
        fi
        sleep 0.1
    done
}

start_redis() {
    read -r redis_port <<<"$(ports redis 1)"
    mkdir -p "$folder/redis"
    launch redis "127.0.0.1:$redis_port" \
        redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$folder/redis" --save ''
    url redis "redis://127.0.0.1:$redis_port/0"
}
redis_answers() { [ "$(answer_of "$redis_port" 'PING\r\n')" = "+" ]; }

start_rabbitmq() {
    local home=$folder/rabbitmq epmd_port dist_port
    read -r rabbitmq_port epmd_port dist_port <<<"$(ports rabbitmq 3)"
    mkdir -p "$home"
    printf '%s\n' 'log.console = true' 'log.file = false' 'disk_free_limit.absolute = 50MB' \
        "load_definitions = $home/definitions.json" >"$home/rabbitmq.conf"
    definitions >"$home/definitions.json"
    : >"$home/enabled_plugins"
    launch epmd "-port $epmd_port" epmd -port "$epmd_port" -address 127.0.0.1
    # Told that systemd runs it, the script becomes the server, so that the pid is the server's. Without
    # busy waiting of Erlang's schedulers, tests have the processors.
    launch rabbitmq rabbitmq env \
        HOME="$home" RUNNING_UNDER_SYSTEMD=true ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1 \
        RABBITMQ_NODENAME="ecurie-$rabbitmq_port@localhost" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
        RABBITMQ_NODE_PORT="$rabbitmq_port" RABBITMQ_DIST_PORT="$dist_port" \
        RABBITMQ_MNESIA_BASE="$home/data" RABBITMQ_LOG_BASE="$home/log" \
        RABBITMQ_CONFIG_FILE="$home/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" \
        RABBITMQ_CONF_ENV_FILE="$home/none" RABBITMQ_PID_FILE="$home/pid" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none" \
        "$(rabbitmq_server)"
    url amqp "amqp://guest:guest@127.0.0.1:$rabbitmq_port//"
}
# The default ones, and a virtual host for each of eight processes that run tests at the same time.
definitions() {
    python3 - <<'PYTHON'
import json
hosts = ["/", *(f"test-{number}" for number in range(8))]
everything = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}
print(json.dumps({
    "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
    "vhosts": [{"name": host} for host in hosts],
    "permissions": [{**everything, "vhost": host} for host in hosts],
}))
PYTHON
}
rabbitmq_answers() { [ -n "$(answer_of "$rabbitmq_port" 'AMQP\x00\x00\x09\x01')" ]; }

start_postgres() {
    local bin home=$folder/postgres as_user=()
    bin=$(postgres_bin)
    read -r postgres_port <<<"$(ports postgres 1)"
    # PostgreSQL refuses to run as root; its user must then be able to reach the folder.
    if [ "$(id -u)" -eq 0 ]; then
        as_user=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
        mkdir -p "$home"
        if ! "${as_user[@]}" test -x "$home"; then
            home=/var/tmp/ecurie-postgres-$(echo "$folder" | cksum | cut -d' ' -f1)
            mkdir -p "$home"
        fi
        chown postgres: "$home"
        chmod 700 "$home"
    fi
    if [ ! -f "$home/PG_VERSION" ]; then
        (cd / && "${as_user[@]}" "$bin/initdb" -D "$home" -U ecurie -E UTF8 --locale=C --auth=trust --no-sync) >/dev/null
    fi
    launch postgres "-D $home" "${as_user[@]}" "$bin/postgres" -D "$home" -p "$postgres_port" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=200
    url postgres "postgresql://ecurie:secret@127.0.0.1:$postgres_port/postgres"
}
# The request for TLS is answered with one letter.
postgres_answers() { [ -n "$(answer_of "$postgres_port" '\x00\x00\x00\x08\x04\xd2\x16\x2f')" ]; }

# A line of FOLDER/env.
url() { echo "ECURIE_TEST_${1^^}_URL=$2" >>"$folder/env"; }

start() {
    local wanted=("$@") service running=yes
    for service in "${wanted[@]}"; do is_running "$service" || running=no; done
    if [ $running = no ]; then
        stop
        trap stop EXIT
        mkdir -p "$folder"
        : >"$folder/env"
        for service in "${wanted[@]}"; do "start_$service"; done
        for service in "${wanted[@]}"; do wait_until_ready "$service"; done
        trap - EXIT
    fi
    cat "$folder/env"
}

stop() {
    local name pid deadline=$((SECONDS + STOP_SECONDS))
    for name in redis rabbitmq postgres epmd; do
        if is_running "$name"; then
            read -r pid _ <"$folder/$name.pid"
            # To PostgreSQL, INT means: do not wait for clients.
            kill -s "$([ $name = postgres ] && echo INT || echo TERM)" "$pid"
            while is_running "$name"; do
                [ $SECONDS -lt $deadline ] || kill -KILL "$pid"
                sleep 0.1
            done
        fi
        rm -f "$folder/$name.pid"
    done
    rm -f "$folder/env"
}

command=${1:-start}
folder=${2:-.services}
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
shift $(($# < 2 ? $# : 2))
case $command in
install) install_missing ;;
start) if [ $# -gt 0 ]; then start "$@"; else start redis rabbitmq postgres; fi ;;
stop) stop ;;
*)
    sed -n 's/^#   //p' "$0"
    exit 2
    ;;
esac
