#!/bin/sh
# Bring the database up to date, make the first user, serve Label Studio. Run by with-secrets.sh.
set -eu
export LABEL_STUDIO_USER_TOKEN="$LABEL_STUDIO_API_KEY"
export LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK=true
export COLLECT_ANALYTICS=false SENTRY_DSN= FRONTEND_SENTRY_DSN= LATEST_VERSION_CHECK=false  # no calls home
export USE_DEFAULT_BANNED_SUBNETS=false          # the backend has a private address
export DJANGO_SETTINGS_MODULE=core.settings.label_studio
label-studio init --quiet
exec python -m gunicorn --chdir "$(python -c 'import importlib.util as u, os; print(os.path.dirname(u.find_spec("label_studio").origin))')" \
    --bind "0.0.0.0:${PORT:-8080}" --workers "${WORKERS:-3}" --threads 8 --timeout 300 core.wsgi:application
