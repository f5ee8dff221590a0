#!/bin/sh
# Installs what the tests use beyond Python, where it may; else says in one sentence what is missing.
set -eu

missing=
need() { # program or library, Debian package
    command -v "$1" >/dev/null 2>&1 || [ -e "/usr/sbin/$1" ] || ldconfig -p 2>/dev/null | grep -q "$1" ||
        [ -n "$(find /usr/lib -path "*/alsa-lib/$1" 2>/dev/null)" ] || missing="$missing $2"
}
need curl curl
need mosquitto mosquitto
need openssl openssl
need redis-server redis-server
need libportaudio.so.2 libportaudio2
need pulseaudio pulseaudio
need pacat pulseaudio-utils
need libasound_module_pcm_pulse.so libasound2-plugins
need strace strace
need chromium chromium
need chromedriver chromium-driver
need systemd-analyze systemd

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Calling apt-get to install what the tests use (broker, store, sound server, browser):$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # No service of these packages shall start by itself: the tests start their own.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.moodwire && chmod +x /usr/sbin/policy-rc.d.moodwire
    [ -e /usr/sbin/policy-rc.d ] || { ln -s policy-rc.d.moodwire /usr/sbin/policy-rc.d; linked=1; }
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
    [ -z "${linked:-}" ] || rm /usr/sbin/policy-rc.d
    rm -f /usr/sbin/policy-rc.d.moodwire
else
    echo "Missing for the tests, which skip what needs them:$missing (on Debian: sudo apt install$missing)"
fi
