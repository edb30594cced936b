#!/bin/sh
# A picture with curl alone: a job is sent, waited for, and its image fetched.
#
#     sh examples/generate.sh [SERVER]
set -eu
server=${1:-http://localhost:8009}

# ask PATH [OPTION…]: what the server answers; if that is an error, it is shown and ends this.
ask() {
    path=$1 && shift
    if ! answer=$(curl --silent --show-error --fail-with-body \
        ${ECURIE_API_KEY:+-H "Authorization: Bearer $ECURIE_API_KEY"} "$server$path" "$@"); then
        echo "$answer" >&2
        exit 1
    fi
}
# The last value of a field in the JSON of the answer.
field() {
    echo "$answer" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

ask /generate -d '{"prompt": "red apple", "seed": 7, "steps": 20}'
job=$(field status_url)
state=queued
while [ "$state" != succeeded ]; do
    # The question stays open until the job has ended, for at most half a minute.
    ask "$job?wait=30"
    state=$(echo "$answer" | sed 's/"created_at".*//; s/.*"state":"\([a-z]*\)".*/\1/')
    case $state in failed | cancelled) echo "$answer" >&2 && exit 1 ;; esac
done
ask "$(field url)" --output apple.png
echo apple.png
