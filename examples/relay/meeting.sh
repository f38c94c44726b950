#!/usr/bin/env bash
# Holds a meeting on this machine: a relay and three participants, over sockets, for SECONDS_LONG seconds (60).
#
# Ada has an account, plans the meeting and lets two guests in, Grace and Linus. After a third of the time Grace makes her
# window small, so that only Linus wants large pictures of the others. After two thirds Ada removes Linus; what he captures
# after that does not open. What each of them printed is left in target/meeting. Ends with 1 if Ada or Grace failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/relay/start.sh

time=${SECONDS_LONG:-60}
programs=$(realpath "${PROGRAMS:-${CARGO_TARGET_DIR:-target}/release}")
out=$(pwd)/target/meeting
rm -rf "$out"
mkdir -p "$out"
cd "$out"

# Whoever is still there at the end goes with this script.
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT

start_relay "$programs/relay" serve --data data --listen 127.0.0.1:0 --udp 127.0.0.1:0 --region "this machine"

# The processes of participants.
declare -A of
# A participant reads commands from standard input while it runs.
join() { # NAME ARGUMENTS...
  local name=$1
  shift
  mkfifo "$name.in"
  "$programs/participant" "$@" < "$name.in" > "$name.txt" 2>&1 &
  of[$name]=$!
}

join ada --relay "https://127.0.0.1:$port#cert=$certificate" --account ada --password-file password \
  --plan "A meeting" --guests 2 --admit all --name Ada --video scene --share scene --audio tone --seconds "$time"
exec 3> ada.in
for _ in $(seq 100); do
  [ "$(grep -c 'code=' ada.txt)" -ge 2 ] && break
  sleep 0.1
done
links=($(grep -o 'https://[^ ]*code=[^ ]*' ada.txt))
join grace --join "${links[0]}" --name Grace --video scene --audio tone --seconds $((time - 2))
exec 4> grace.in
join linus --join "${links[1]}" --name Linus --video scene --audio tone --record linus --seconds $((time - 2))
exec 5> linus.in

for second in $(seq "$time"); do
  printf '\r%s of %s s' "$second" "$time" >&2
  sleep 1
  if [ "$second" = $((time / 3)) ]; then
    printf '\rAfter %s s Grace makes her window small: 160x90. Only Linus wants large pictures now.\n' "$second" >&2
    echo "window 160x90" >&4
  fi
  if [ "$second" = $((time * 2 / 3)) ]; then
    # Linus' number is the one that his admission says.
    linus=$(sed -nE 's/^ *[0-9.]+ participant ([0-9]+) of .*/\1/p' linus.txt | head -1)
    printf '\rAfter %s s Ada, the organizer, removes Linus. He gets no packet and no key from now on, and nobody codes large pictures for him.\n' "$second" >&2
    echo "remove $linus" >&3
  fi
done
printf '\n' >&2
exec 3>&- 4>&- 5>&-
# Linus ends with 1, as he is removed.
failed=0
for name in ada grace; do
  wait "${of[$name]}" || failed=1
done
wait "${of[linus]}" || true
kill -TERM "$relay"
wait "$relay" || true

printf '\nEach began at a time of its own, 0 s in its list. "others watch" says which layers of a stream somebody wants.\n'
for name in Ada Grace Linus; do
  printf '\n%s\n' "$name"
  grep -E '^ .*(in all|the end|removed|no longer|nothing else is coded)' "${name,,}.txt"
done
if [ "$(nproc)" -lt 4 ]; then
  printf '\nThree coders and seven decoders share the cores of this machine. Where they are too few, less is coded, and pictures pause.\n'
fi
printf '\nAll that was printed, and what Linus recorded, is in %s.\n' "$out"
if [ "$failed" = 1 ]; then
  echo "Ada or Grace failed: the end of ada.txt or grace.txt there says why." >&2
  exit 1
fi
