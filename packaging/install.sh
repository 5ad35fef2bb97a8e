#!/bin/sh
# Install brokergate as a service on Debian 12, Ubuntu 24.04 or later, from the built folder.
#
#     sudo ./install.sh [FOLDER]      FOLDER: the program's folder, brokergate/ beside this script
#
# Installs or upgrades the program in /opt/brokergate. On the first run it also makes the user
# brokergate, /etc/brokergate with a configuration and a master key, /var/lib/brokergate, and the
# service. It overwrites no configuration, no key and no data, and starts nothing by itself.
set -eu

die() {
    echo "install.sh: $*" >&2
    exit 1
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
program=${1:-$here/brokergate}
target=${DESTDIR:-}/opt/brokergate
settings=${DESTDIR:-}/etc/brokergate
data=${DESTDIR:-}/var/lib/brokergate
units=${DESTDIR:-}/etc/systemd/system
owner=brokergate

[ "$(id -u)" = 0 ] || die "run it as root: sudo $0"
[ -x "$program/brokergate" ] || die "$program holds no brokergate; unpack the archive, or name its folder"
for unit in brokergate.service brokergate.socket; do
    [ -f "$here/$unit" ] || die "$unit is missing beside $0"
done
"$program/brokergate" version >/dev/null || die "$program/brokergate does not run on this machine"

[ -e /etc/ssl/certs/ca-certificates.crt ] ||
    die "no certificates to check brokers by: apt-get install ca-certificates"

if [ -n "${DESTDIR:-}" ]; then
    owner=$(id -un)
elif ! getent passwd "$owner" >/dev/null; then
    useradd --system --user-group --home-dir /var/lib/brokergate --no-create-home \
        --shell /usr/sbin/nologin "$owner"
    echo "made the user $owner"
fi
group=$(id -gn "$owner")

# Whole or not at all: a running gateway keeps the files that it has open.
mkdir -p "$(dirname "$target")"
rm -rf "$target.new" "$target.old"
cp -a "$program" "$target.new"
chown -R 0:0 "$target.new"
[ ! -e "$target" ] || mv "$target" "$target.old"
mv "$target.new" "$target"
rm -rf "$target.old"
mkdir -p "${DESTDIR:-}/usr/local/bin"
ln -sfn /opt/brokergate/brokergate "${DESTDIR:-}/usr/local/bin/brokergate"

install -d -m 0750 -o 0 -g "$group" "$settings"
install -d -m 0700 -o "$owner" -g "$group" "$data"

if [ ! -e "$settings/brokergate.yaml" ]; then
    cat >"$settings/brokergate.yaml" <<END
# brokergate. Credentials never stand here: brokergate vault set ACCOUNT.
# Every setting with its default: config/brokergate.example.yaml of the project.
data_dir: /var/lib/brokergate

server:
  host: 127.0.0.1       # other machines reach anything else: that needs tls {cert, key}
  port: 8080

# One entry per broker login. Orders name accounts by id.
accounts: []
#  - id: fyers-main
#    broker: fyers       # fyers | mstock | hdfc
END
    chown "0:$group" "$settings/brokergate.yaml"
    chmod 0640 "$settings/brokergate.yaml"
    echo "made $settings/brokergate.yaml"
fi
if [ ! -e "$settings/master.key" ]; then
    [ ! -e "$data/journal.db" ] || die "$data holds a journal but $settings/master.key is missing: put it back"
    (
        umask 0377
        head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' >"$settings/master.key"
    )
    echo "made $settings/master.key: keep a copy away from this machine and from its backups"
fi

mkdir -p "$units"
install -m 0644 "$here/brokergate.service" "$here/brokergate.socket" "$units/"
# Where systemd does not run (a container, an image being made) it reads them when it starts.
[ -n "${DESTDIR:-}" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload

"$target/brokergate" version
cat <<'END'
Next:
  1. put your accounts into /etc/brokergate/brokergate.yaml, then: brokergate config check --config /etc/brokergate/brokergate.yaml
  2. systemctl enable --now brokergate
  3. export BROKERGATE_CONFIG=/etc/brokergate/brokergate.yaml
     sudo -Eu brokergate brokergate keys create --name admin --scope admin
     sudo -Eu brokergate brokergate vault set ACCOUNT
     sudo -Eu brokergate brokergate login --all
After an upgrade: systemctl restart brokergate
END
