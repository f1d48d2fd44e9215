#!/bin/sh
# The programs that tests run: installed by apt on Debian and Ubuntu, listed elsewhere.
set -eu
missing=""
need() { # PROGRAM PACKAGE
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null || missing="$missing $2"
}
need git git
need docker-registry docker-registry
need htpasswd apache2-utils
need openssl openssl
need ssh-agent openssh-client
need bash-static bash-static
need busybox busybox-static
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "The tests need (Debian's package names):$missing" >&2
    exit 2
fi
echo "· installing$missing"
apt-get update -qq
# RUNLEVEL: the tests start servers of their own; the packages' need not run.
# shellcheck disable=SC2086 - several words
RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
