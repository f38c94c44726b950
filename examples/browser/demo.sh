#!/usr/bin/env bash
# Starts a relay with the page and a meeting whose organizer, Ada, is a native participant. She shows a picture drawn by code, lets
# everybody in, and has an invitation for each of GUESTS (4). The relay listens at LISTEN (0.0.0.0:8443).
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/relay/start.sh

root=$(pwd)
target=${CARGO_TARGET_DIR:-target}
programs=${PROGRAMS:-$(cd "$target/release" && pwd)}
out=$root/target/browser
listen=${LISTEN:-0.0.0.0:8443}
rm -rf "$out"
mkdir -p "$out"
cd "$out"
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT

start_relay "$programs/relay" serve --data data --listen "$listen" --udp "$listen" --page "$root/examples/browser/dist" \
  --region "this machine"

mkfifo ada.in
"$programs/participant" --relay "https://127.0.0.1:$port#cert=$certificate" --account ada --password-file password --plan "A meeting" \
  --guests "${GUESTS:-4}" --admit all --name Ada --video scene --share scene --audio tone < ada.in > ada.txt 2>&1 &
exec 3> ada.in
for _ in $(seq 100); do
  [ "$(grep -c 'code=' ada.txt)" -ge "${GUESTS:-4}" ] && break
  sleep 0.1
done

cat <<SAID
Ada holds a meeting. Each of these links lets one guest in; open them in Chromium or Chrome:

$(grep -o 'https://[^ ]*code=[^ ]*' ada.txt | sed "s/127\.0\.0\.1/localhost/; s/&cert=[0-9a-f]*//; s/^/  /")

Chrome says that it does not know the certificate, which the relay made itself: "Advanced", then "Proceed to localhost". Its SHA-256,
which Chrome shows under "Certificate is not valid", is
  $certificate

On another machine or a phone in this network, put this machine's address in the place of "localhost".

To hold a meeting of your own: https://localhost:$port/ with the account "ada" and the password
  $(cat password)

What Ada sees is in $out/ada.txt. Ctrl+C ends it all.
SAID
wait
