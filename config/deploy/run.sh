#!/bin/sh
# One watcher in a container: read-only root, no privileges, its state on a volume, health and metrics on loopback.
# The configuration named in CONFIG has `store: {type: sqlite, path: /var/lib/watcher/watcher.db}` and `api: {listen: ":8080"}`.
set -eu
: "${CONFIG:=$PWD/watcher.yaml}" "${IMAGE:=speaker-search-watcher}" "${AWS_REGION:=us-east-1}"

exec docker run --rm --name watcher \
  --read-only --cap-drop ALL --security-opt no-new-privileges \
  --memory 512m --pids-limit 256 --stop-timeout 30 \
  --volume watcher-state:/var/lib/watcher \
  --volume "$CONFIG:/etc/watcher/watcher.yaml:ro" \
  --publish 127.0.0.1:8080:8080 \
  --env AWS_REGION="$AWS_REGION" \
  "$IMAGE" run --config /etc/watcher/watcher.yaml
