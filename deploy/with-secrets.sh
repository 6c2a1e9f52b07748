#!/bin/sh
# Run a command with every secret (a file in SECRETS_DIR, called like its variable) in its environment, and in no other's:
# neither an image nor `docker inspect` shows them.
set -eu
for file in "${SECRETS_DIR:-/run/secrets}"/*; do
    [ -f "$file" ] && export "$(basename "$file")=$(cat "$file")"
done
exec "$@"
