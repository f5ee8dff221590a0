#!/bin/sh
# Makes the sample clips anew. Needs espeak-ng and sox (Debian: apt install espeak-ng sox).
# A speech synthesiser has no emotions: what the model says of these clips means nothing. Voices and the noise behind
# them were tried until the model was sure of many windows, so that the demo shows what clear readings look like.
set -eu
cd "$(dirname "$0")"

speak() { # name, voice, words per minute, pitch, level dBFS, noise dBFS, text
    espeak-ng -v "$2" -s "$3" -p "$4" --stdout "$7" | sox -t wav - -r 16000 -c 1 -b 16 clean.wav norm "$5"
    sox clean.wav -p synth pinknoise vol "$6dB" | sox -m -v 1 clean.wav -v 1 -p -b 16 "$1.flac" repeat 1 pad 0 1.5
    rm clean.wav
}

speak 1-kettle en-gb+f5 236 50 -28 -43 "The kettle is on, and the window is open. It is a quiet morning in the kitchen."
speak 2-train en-us+m7 225 32 -2 -80 "The train leaves at half past nine from platform two, and it stops at every station."
speak 3-garden en-us 234 55 -12 -33 "We planted beans along the fence last week, and the first leaves are out already."
speak 4-parcel en-us+f4 160 98 -6 -28 "Your parcel has arrived! It is bigger than I thought, come and look at it!"
speak 5-door en-us+f4 230 89 -6 -48 "I told you to close the door! How often must I say it before you listen?"
