#!/bin/sh
# Fills a template with a release: fill.sh TEMPLATE VERSION SHA256SUMS
#
# Prints the Homebrew formula or the krew manifest with @VERSION@ and @SHA256(TARGET)@ replaced, and fails where a digest
# is missing or a placeholder is left. The result is what goes to the tap and to the index of krew.
#
# Called by .github/workflows/release.yml; packaging/names_test.sh runs it on both templates.

set -eu

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

[ $# -eq 3 ] || fail "usage: fill.sh TEMPLATE VERSION SHA256SUMS"
template=$1
version=${2#v}
sums=$3
for file in "$template" "$sums"; do
  [ -f "$file" ] || fail "no such file: $file"
done

# A comment at the top of a template says that it is one; what is filled is none any more.
filled=$(
  awk -v version="$version" '
    NR == FNR {
      name = $2
      sub(/^\*/, "", name)
      prefix = "eks-bootstrap-" version "-"
      if (index(name, prefix) == 1 && name ~ /\.tar\.gz$/ && $1 ~ /^[0-9a-f]+$/ && length($1) == 64) {
        target = substr(name, length(prefix) + 1)
        sub(/\.tar\.gz$/, "", target)
        digest[target] = $1
      }
      next
    }
    /^# template:/ { next }
    {
      gsub(/@VERSION@/, version)
      for (target in digest) gsub("@SHA256[(]" target "[)]@", digest[target])
      print
    }
  ' "$sums" "$template"
)
if printf '%s\n' "$filled" | grep -n '@[A-Z0-9]*[@(]' >&2; then
  fail "$sums has no digest for the lines above"
fi
printf '%s\n' "$filled"
