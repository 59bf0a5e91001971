#!/bin/sh
# Unpacks Debian's Prometheus and its promtool for the tests in this directory, outside of the repository, unless they
# are there already. Nothing is installed and no service is started. It prints where they are. Some 20 MB, once.
set -eu

folder=${XDG_CACHE_HOME:-$HOME/.cache}/gpulockd/prometheus

if [ ! -x "$folder/usr/bin/promtool" ]; then
    part=$folder.$$
    trap 'rm -rf "$part"' EXIT
    mkdir -p "$part"
    (cd "$part" && apt-get download -qq prometheus >&2 && dpkg -x prometheus_*.deb . && rm prometheus_*.deb)
    mv "$part" "$folder"
fi
echo "$folder/usr/bin"
