#!/bin/sh
# Starts one watcher in a container: read-only root, no privileges, state on a volume, health and metrics on loopback.
# With the configuration of the image: WATCHER_QUEUE_URL=https://sqs... WATCHER_BUS=default ./run.sh
# With your own configuration:         CONFIG=watcher.yaml ./run.sh     (it needs `api: {listen: ":8080"}`, as in container.yaml)
# With a profile of ~/.aws:            AWS_PROFILE=default ./run.sh     (mounted read-only; a role of the machine needs none)
# Arguments replace `run`:             CONFIG=watcher.yaml ./run.sh config check /etc/watcher/watcher.yaml
# The container gets, from the environment: AWS_*, OTEL_*, WATCHER_*, the proxy variables, and each variable that CONFIG names.
# Values are passed by name, so that no secret is an argument, which other users of the machine could read.
set -eu
: "${IMAGE:=speaker-search-watcher}" "${ENGINE:=docker}" "${RUN_AS:=}"
config=/etc/watcher/watcher.yaml state=/var/lib/watcher

if [ $# -eq 0 ]; then set -- run --config "$config"; fi
set -- "$IMAGE" "$@"

if [ -z "${AWS_REGION:-}${AWS_DEFAULT_REGION:-}${AWS_PROFILE:-}" ]; then
  export AWS_REGION=us-east-1
  echo "run.sh: AWS_REGION is not set; using $AWS_REGION" >&2
fi

# A file that a variable names is mounted under its own path. A file of credentials is usually readable for its owner only, so the
# container then runs as that user; the group 10001 can write the volume.
owned=
for name in AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE AWS_WEB_IDENTITY_TOKEN_FILE AWS_CA_BUNDLE SSL_CERT_FILE; do
  file=$(printenv "$name" || true)
  if [ -n "$file" ]; then
    file=$(realpath "$file")
    set -- --volume "$file:$file:ro" --env "$name=$file" "$@"
    case $name in *CONFIG* | *CREDENTIALS* | *TOKEN*) owned=yes ;; esac
  fi
done
if [ -n "${AWS_PROFILE:-}" ] && [ -d "$HOME/.aws" ]; then
  set -- --volume "$(realpath "$HOME/.aws"):$state/.aws:ro" "$@"
  owned=yes
fi
if [ -n "$owned" ]; then : "${RUN_AS:=$(id -u):10001}"; fi
if [ -n "$RUN_AS" ]; then set -- --user "$RUN_AS" --env HOME="$state" "$@"; fi

names=$(env | sed -n -e 's/^\(AWS_[A-Za-z0-9_]*\)=.*/\1/p' -e 's/^\(OTEL_[A-Za-z0-9_]*\)=.*/\1/p' -e 's/^\(WATCHER_[A-Za-z0-9_]*\)=.*/\1/p')
names="$names HTTPS_PROXY HTTP_PROXY ALL_PROXY NO_PROXY https_proxy http_proxy all_proxy no_proxy"
if [ -n "${CONFIG:-}" ]; then
  mounted="$(realpath "$CONFIG"):$config:ro"
  set -- --volume "$mounted" "$@"
  names="$names $("$ENGINE" run --rm --network none ${RUN_AS:+--user "$RUN_AS"} --volume "$mounted" "$IMAGE" config variables "$config")"
fi
for name in $(printf '%s\n' $names | sort -u); do
  case $name in
    AWS_CONFIG_FILE | AWS_SHARED_CREDENTIALS_FILE | AWS_WEB_IDENTITY_TOKEN_FILE | AWS_CA_BUNDLE | SSL_CERT_FILE) ;;  # done above
    HOME | HOSTNAME | PATH) ;;  # those of the container
    *) if printenv "$name" >/dev/null; then set -- --env "$name" "$@"; fi ;;
  esac
done

exec "$ENGINE" run --rm --init --name watcher \
  --read-only --cap-drop ALL --security-opt no-new-privileges \
  --memory 512m --pids-limit 256 --stop-timeout 30 \
  --volume watcher-state:"$state" \
  --publish 127.0.0.1:8080:8080 \
  "$@"
