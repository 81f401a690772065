#!/bin/sh
# Packs one program as a release archive: pack.sh PROGRAM TARGET FOLDER
#
# Writes FOLDER/eks-bootstrap-VERSION-TARGET.tar.gz with one folder in it: the program, LICENSE, README.md, CHANGELOG.md,
# and what the program prints itself, the completions of three shells and the manual page. So PROGRAM has to run on this
# machine. The same input gives the same bytes where tar is GNU tar; SOURCE_DATE_EPOCH is the time of every file in it.
#
# Called by .github/workflows/release.yml; packaging/names_test.sh runs it on a made-up program.

set -eu

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

[ $# -eq 3 ] || fail "usage: pack.sh PROGRAM TARGET FOLDER"
program=$1
target=$2
folder=$3
root=$(cd "$(dirname "$0")/.." && pwd)

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
reported=$("$program" --version) || fail "$program does not run on this machine"
[ "$reported" = "eks-bootstrap $version" ] || fail "$program is \"$reported\", and Cargo.toml says $version"

stem=eks-bootstrap-$version-$target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$stem/completions" "$work/$stem/man" "$folder"
cp "$program" "$work/$stem/eks-bootstrap"
cp "$root/LICENSE" "$root/README.md" "$root/CHANGELOG.md" "$work/$stem"
"$program" completions bash >"$work/$stem/completions/eks-bootstrap.bash"
"$program" completions zsh >"$work/$stem/completions/_eks-bootstrap"
"$program" completions fish >"$work/$stem/completions/eks-bootstrap.fish"
"$program" man >"$work/$stem/man/eks-bootstrap.1"
chmod 755 "$work/$stem" "$work/$stem/completions" "$work/$stem/man" "$work/$stem/eks-bootstrap"
find "$work/$stem" -type f ! -name eks-bootstrap -exec chmod 644 {} +

tar=tar
! command -v gtar >/dev/null || tar=gtar
archive=$work/$stem.tar
case $("$tar" --version) in
  *GNU*)
    "$tar" --create --file "$archive" --directory "$work" --format ustar --sort name --owner 0 --group 0 --numeric-owner \
      --mtime "@${SOURCE_DATE_EPOCH:-0}" "$stem"
    ;;
  *) COPYFILE_DISABLE=1 "$tar" -cf "$archive" -C "$work" "$stem" ;;
esac
gzip -9 -n "$archive"
mv "$archive.gz" "$folder/$stem.tar.gz"
printf '%s\n' "$folder/$stem.tar.gz"
