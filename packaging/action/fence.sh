#!/bin/sh
# Puts untrusted text into a Markdown fence that it cannot leave: fence.sh BYTES <TEXT
#
# The fence is longer than any run of backticks in the text, control characters go, and no more than BYTES are kept, in
# whole lines.

set -eu

limit=$1
text=$(mktemp)
trap 'rm -f "$text"' EXIT
LC_ALL=C tr -d '\000-\010\013-\037\177' |
  LC_ALL=C awk -v limit="$limit" '
    { kept += length($0) + 1 }
    kept > limit { print "... cut here: the log of the run has all of it"; exit }
    { print }
  ' >"$text"

# A run that is absurdly long would make the fence as long.
longest=$(LC_ALL=C awk '
  {
    rest = $0
    while (match(rest, /`+/)) {
      if (RLENGTH > longest) longest = RLENGTH
      rest = substr(rest, RSTART + RLENGTH)
    }
  }
  END { print longest + 0 }
' "$text")
if [ "$longest" -gt 100 ]; then
  LC_ALL=C tr '`' "'" <"$text" >"$text.plain"
  mv "$text.plain" "$text"
  longest=0
fi
fence='```'
while [ ${#fence} -le "$longest" ]; do
  fence=$fence'`'
done
printf '%stext\n' "$fence"
cat "$text"
printf '%s\n' "$fence"
