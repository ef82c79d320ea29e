#!/bin/sh
# Starts one watcher in a container: read-only root, no privileges, state on a volume, health and metrics on loopback.
# With the configuration of the image: WATCHER_QUEUE_URL=https://sqs... WATCHER_BUS=default ./run.sh
# With your own configuration:         CONFIG=watcher.yaml ./run.sh     (it needs `api: {listen: "0.0.0.0:8080"}`, as in container.yaml)
# Arguments replace `run`:             CONFIG=watcher.yaml ./run.sh config check /etc/watcher/watcher.yaml
set -eu
: "${IMAGE:=speaker-search-watcher}" "${AWS_REGION:=us-east-1}" "${ENGINE:=docker}"

if [ $# -eq 0 ]; then set -- run --config /etc/watcher/watcher.yaml; fi
set -- "$IMAGE" "$@"
if [ -n "${CONFIG:-}" ]; then set -- --volume "$(realpath "$CONFIG"):/etc/watcher/watcher.yaml:ro" "$@"; fi

exec "$ENGINE" run --rm --init --name watcher \
  --read-only --cap-drop ALL --security-opt no-new-privileges \
  --memory 512m --pids-limit 256 --stop-timeout 30 \
  --volume watcher-state:/var/lib/watcher \
  --publish 127.0.0.1:8080:8080 \
  --env AWS_REGION="$AWS_REGION" --env WATCHER_QUEUE_URL --env WATCHER_BUS \
  "$@"
