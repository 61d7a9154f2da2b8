#!/usr/bin/env bash
# Says in one line what this machine lacks (`test`, `bench`: for these, too); as root on a Debian-like system, installs it.
set -euo pipefail

missing=()
command -v mvn >/dev/null || missing+=(maven)
"${PYTHON:-python3}" -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ "${1:-}" = test ]; then # the gateway's database in production is tested for real, and so are sources
  compgen -G '/usr/lib/postgresql/*/bin/pg_ctl' >/dev/null || missing+=(postgresql)
  PATH="$PATH:/usr/sbin" command -v mariadbd >/dev/null || missing+=(mariadb-server) # a source of sql and mariadb_cdc
fi
if [ "${1:-}" = bench ]; then # Kafka Streams is a peer
  command -v javac >/dev/null || missing+=(default-jdk-headless)
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${missing[*]} with apt-get"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "please install: ${missing[*]} (Debian: sudo apt-get install ${missing[*]}), then run this again" >&2
  exit 1
fi
