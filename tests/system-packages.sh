#!/bin/sh
# Installs what the tests use beyond Python, where it may; else says in one sentence what is missing.
set -eu

missing=
program() { # name, Debian packages
    command -v "$1" >/dev/null 2>&1 || [ -e "/usr/sbin/$1" ] || missing="$missing $2"
}
library() { # file, Debian packages
    { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep -qF "$1 " ||
        [ -n "$(find /usr/lib -path "*/alsa-lib/$1" 2>/dev/null)" ] || missing="$missing $2"
}
program cc "gcc libc6-dev"
program curl curl
program mosquitto mosquitto
program openssl openssl
program redis-server redis-server
library libportaudio.so.2 libportaudio2
program pulseaudio pulseaudio
program pacat pulseaudio-utils
library libasound_module_pcm_pulse.so libasound2-plugins
program strace strace
program chromium chromium
program chromedriver chromium-driver
program systemd-analyze systemd

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Calling apt-get to install what the tests use (compiler, broker, store, sound server, browser):$missing"
    export DEBIAN_FRONTEND=noninteractive
    # No service of these packages shall start by itself: the tests start their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    fi
    install() { apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
    apt-get update -qq || echo "apt-get cannot update its lists; it is tried with those that are there"
    # shellcheck disable=SC2086
    install $missing || for package in $missing; do # Ubuntu has no chromium but as a snap, for one
        install "$package" || echo "apt-get cannot install $package; the tests skip what needs it"
    done
else
    echo "Missing for the tests, which skip what needs them:$missing (on Debian: sudo apt install$missing)"
fi
