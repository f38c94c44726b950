# Read by the scripts that hold a meeting, which set `programs` and are in the folder for what comes of it.

# Makes the account "ada" with a new password, runs the command that serves, and waits until the relay listens. Then `relay` is
# its process, `port` its port, and `certificate` the SHA-256 of its certificate.
start_relay() { # COMMAND...
  head -c 18 /dev/urandom | base64 > password
  "$programs/relay" account add ada --data data < password
  "$@" > relay.txt 2> relay.log &
  relay=$!
  for _ in $(seq 100); do
    grep -qs certificate relay.txt && break
    kill -0 "$relay" 2> /dev/null || { cat relay.log >&2; exit 1; }
    sleep 0.1
  done
  port=$(sed -nE 's/^relay on https:\/\/.*:([0-9]+), media.*/\1/p' relay.txt)
  certificate=$(sed -nE 's/^relay on .*certificate ([0-9a-f]+)$/\1/p' relay.txt)
}
