#!/bin/sh
# Make the secrets that are not there yet; none is ever overwritten. The folder is for its owner alone; the files in it can
# be read by the users of the containers, which have other numbers.
set -eu
folder="${1:-$(dirname "$0")/secrets}"
mkdir -p "$folder"
chmod 700 "$folder"
for name in POSTGRE_PASSWORD SECRET_KEY LABEL_STUDIO_PASSWORD LABEL_STUDIO_API_KEY CLICKPOSE_BASIC_AUTH_PASSWORD \
    CLICKPOSE_WEBHOOK_SECRET; do
    [ -s "$folder/$name" ] && continue
    head -c 20 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > "$folder/$name"  # 40 digits, as Label Studio's tokens have
    chmod 444 "$folder/$name"
done
echo "The password of the first user is in $folder/LABEL_STUDIO_PASSWORD."
