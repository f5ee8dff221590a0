#!/bin/sh
# Makes the sample clips anew. Needs espeak-ng and sox (Debian: apt install espeak-ng sox).
# A speech synthesiser has no emotions: what the model says of these clips means nothing.
set -eu
cd "$(dirname "$0")"

speak() { # name, voice, words per minute, pitch, amplitude, text
    espeak-ng -v "$2" -s "$3" -p "$4" -a "$5" --stdout "$6" |
        sox -t wav - -r 16000 -c 1 -b 16 "$1.flac" norm -6
}

speak 1-kettle en-gb 165 45 100 "The kettle is on, and the window is open. It is a quiet morning in the kitchen."
speak 2-parcel en-us 205 62 120 "Your parcel has arrived! It is bigger than I thought, come and look at it!"
speak 3-train en-gb+f3 180 55 100 "The train leaves at half past nine from platform two, and it stops at every station."
speak 4-door en-us+m3 220 30 140 "I told you to close the door! How often must I say it before you listen?"
speak 5-garden en-gb+f2 150 50 90 "We planted beans along the fence last week, and the first leaves are out already."
