#!/bin/sh
# Place one order with curl alone: plain.sh INSTRUMENT SIDE QUANTITY PRICE ACCOUNT
#
# One key for one intent, made before anything is sent: whatever goes wrong on the way, the same
# request is sent again and never makes a second order. Ends with 0 when the broker took it, 1 when
# it is certain that it did not, 3 when it may have: look at the printed key's order then.
set -eu
: "${BROKERGATE_URL:=http://127.0.0.1:8080}" "${BROKERGATE_KEY:?set it to an API key}"

intent=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
order=$(printf '{"instrument": "%s", "side": "%s", "order_type": "LIMIT", "product": "CNC",
  "quantity": %d, "price": "%s", "accounts": ["%s"]}' "$1" "$2" "$3" "$4" "$5")
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# The API key goes over standard input, since everybody on a machine can read arguments.
ask() {
    status=$(printf 'header = "Authorization: Bearer %s"\n' "$BROKERGATE_KEY" |
        curl -s -K - -o "$answer" -w '%{http_code}' --max-time 20 "$@") || status=000
}
said() { grep -o "\"$1\": *\"[^\"]*\"" "$answer" | head -n 1 | cut -d '"' -f 4; }

tries=0
while :; do
    ask "$BROKERGATE_URL/v1/orders" -H "Idempotency-Key: $intent" \
        -H 'Content-Type: application/json' -d "$order"
    case $status in
    200 | 201 | 202) break ;;
    000 | 409 | 429 | 5??) ;;
    *)
        cat "$answer"
        exit 1
        ;;
    esac
    tries=$((tries + 1))
    [ "$tries" -lt 10 ] || { echo "no answer; look for the order of key $intent" >&2; exit 3; }
    sleep 1
done

id=$(said order_id)
while [ "$(said summary)" = pending ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo "still pending: $id" >&2; exit 3; }
    sleep 1
    ask "$BROKERGATE_URL/v1/orders/$id"
    # Anything but an answer leaves it as it was: pending.
    [ "$status" = 200 ] || printf '{"summary": "pending"}' >"$answer"
done
cat "$answer"
echo
[ "$(said summary)" = accepted ]
