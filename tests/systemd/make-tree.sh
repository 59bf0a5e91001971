#!/bin/sh
# Makes the Debian tree that the tests in this directory boot, outside of the repository, unless it is there already.
# It prints the tree's path. As root; it takes the packages from Debian's mirror, some 70 MB, once.
set -eu

# The oldest Debian with the oldest Python that gpulockd runs on. A change of what is in the tree changes its name.
suite=bookworm
packages=systemd,systemd-sysv,python3,python3-venv
tree=${XDG_CACHE_HOME:-$HOME/.cache}/gpulockd/debian-$suite-1

if [ ! -d "$tree" ]; then
    part=$tree.$$
    trap 'rm -rf "$part"' EXIT
    mkdir -p "$(dirname "$tree")"
    debootstrap --variant=minbase --include="$packages" "$suite" "$part" >&2
    rm -rf "$part"/var/cache/apt/archives/*.deb "$part"/var/lib/apt/lists/* "$part"/usr/share/doc "$part"/usr/share/locale
    mv "$part" "$tree"
fi
echo "$tree"
