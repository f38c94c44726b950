#!/usr/bin/env bash
# Holds a meeting between two hosts that are network namespaces of this machine, one participant of which has a bad path:
# 2 % of the datagrams are lost, each takes 40 ms, and 1.5 Mbit/s go through, but 400 kbit/s from the 40th to the 60th second.
#
# The participant emulates its path itself, so that kernels without netem will do. Needs root, iproute2, and programs
# that were built:
#   cargo build --release -p layercast-relay -p layercast-participant --bins --example network-plot
# SIZE is that of the cameras (640x360).
# What each participant printed is left in target/network, and docs/network.svg is drawn anew.
set -euo pipefail
cd "$(dirname "$0")/../.."
. examples/relay/start.sh

programs=$(realpath "${PROGRAMS:-${CARGO_TARGET_DIR:-target}/release}")
size=${SIZE:-640x360}
out=$(pwd)/target/network
rm -rf "$out"
mkdir -p "$out"

trap 'kill $(jobs -p) 2> /dev/null || true; ip netns del lc-relay; ip netns del lc-people' EXIT
for host in relay people; do
  ip netns add lc-$host
  ip -n lc-$host link set lo up
done
ip link add lc0 netns lc-relay type veth peer name lc0 netns lc-people
ip -n lc-relay address add 10.77.0.1/24 dev lc0
ip -n lc-people address add 10.77.0.2/24 dev lc0
ip -n lc-relay link set lc0 up
ip -n lc-people link set lc0 up

cd "$out"
start_relay ip netns exec lc-relay "$programs/relay" serve --data data --listen 10.77.0.1:8443 --udp 10.77.0.1:3478

join() { # NAME ARGUMENTS...
  local name=$1
  shift
  mkfifo "$name.in"
  ip netns exec lc-people "$programs/participant" --name "$name" --json --lines 250 --video scene --size "$size" \
    --audio tone "$@" < "$name.in" > "$name.json" 2> "$name.log" &
}

join Ada --relay "https://10.77.0.1:8443#cert=$certificate" --account ada --password-file password \
  --plan "A meeting" --guests 2 --admit all --seconds 95
exec 3> Ada.in
for _ in $(seq 100); do
  [ "$(grep -c 'code=' Ada.json)" -ge 2 ] && break
  sleep 0.1
done
links=($(grep -o 'https://[^ "]*code=[^ "]*' Ada.json))
join Grace --join "${links[0]}" --seconds 92
exec 4> Grace.in
join Linus --join "${links[1]}" --seconds 90 --link-kbps 1500 --link-delay 40 --link-loss 2
exec 5> Linus.in
people=$(jobs -p | tail -n +2)
sleep 40
echo "link 400" >&5
uptime > load.txt
sleep 20
echo "link 1500" >&5
wait $people
cat load.txt
"$programs/examples/network-plot" Linus.json "${PLOT:-../../docs/network.svg}" | tee figures.txt
