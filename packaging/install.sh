#!/bin/sh
# Installs eks-bootstrap from its release archives, for Linux and macOS on x86-64 and arm64.
#
#   sh install.sh                      the version that this script belongs to
#   sh install.sh --version 0.1.0      another version
#
# Downloads the checksum file and the archive, verifies the archive's SHA-256 before anything of it is unpacked, starts
# the program once, and only then puts it in place with a rename. Whatever fails before that leaves no file behind, and a
# program that was installed earlier stays as it was. No sudo, no eval, no change to a shell profile.
#
# Needs a POSIX shell with awk, tar, gzip and mktemp; one of sha256sum, shasum and openssl; and curl or wget, unless the
# base URL is a folder (file:///mnt/mirror).
#
# The checksum file comes from the same place as the archive: it finds a broken or exchanged download, and is no proof of
# origin. That proof is the build provenance of a release (`gh attestation verify`), which CONTRIBUTING.md describes.
#
# Linted with shellcheck 0.11.0 and tested by packaging/install_test.sh, on Linux; not run on macOS, where CI runs the test.

set -eu

# One of the places that hold the version and the placeholder of the repository; CONTRIBUTING.md lists all of them.
default_version=0.1.0
default_base_url=https://github.com/eks-bootstrap/eks-bootstrap/releases/download

program=eks-bootstrap
work=
staged=

say() {
  printf '%s\n' "$*" >&2
}

fail() {
  say "error: $1"
  [ $# -lt 2 ] || say "fix: $2"
  exit 1
}

# Removes what is unfinished, however the script ends.
clean() {
  [ -z "$staged" ] || rm -f "$staged"
  [ -z "$work" ] || rm -rf "$work"
}

usage() {
  cat <<END
Install eks-bootstrap

Usage: install.sh [OPTIONS]

Options:
      --version VERSION  Version to install [default: $default_version] [env: EKS_BOOTSTRAP_VERSION]
      --dir DIR          Where to install it [default: ~/.local/bin] [env: EKS_BOOTSTRAP_INSTALL_DIR]
      --base-url URL     Mirror that holds vVERSION/SHA256SUMS and the archives beside it; https, http or file
                         [default: $default_base_url] [env: EKS_BOOTSTRAP_BASE_URL]
  -h, --help             Print help
END
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# The target as Rust names it, which is part of the archive's name.
detect_target() {
  system=$(uname -s)
  machine=$(uname -m)
  case $system in
    Linux) suffix=unknown-linux-musl ;;
    Darwin) suffix=apple-darwin ;;
    *)
      fail "unsupported platform: $system on $machine" \
        "install from source: cargo install --locked --git ${default_base_url%/releases/download} $program"
      ;;
  esac
  case $machine in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *)
      fail "unsupported platform: $system on $machine" \
        "install from source: cargo install --locked --git ${default_base_url%/releases/download} $program"
      ;;
  esac
  # A shell that Rosetta translates calls an Apple processor x86_64.
  if [ "$system" = Darwin ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || echo 0)" = 1 ]; then
    machine=aarch64
  fi
  printf '%s-%s\n' "$machine" "$suffix"
}

# fetch URL FILE: the whole file or a failure; the caller removes what a failure leaves.
fetch() {
  case $1 in
    file://*)
      cp -- "${1#file://}" "$2" 2>/dev/null
      return
      ;;
    https://*) scheme=https ;;
    http://*) scheme=http ;;
    *) return 1 ;;
  esac
  if has curl; then
    # A redirect may not leave https; --fail turns an error page into a failure, and a transfer that stalls ends.
    if [ "$scheme" = https ]; then
      set -- --proto '=https' --tlsv1.2 --output "$2" "$1"
    else
      set -- --output "$2" "$1"
    fi
    curl --fail --silent --show-error --location --retry 2 --connect-timeout 15 --speed-limit 1 --speed-time 60 "$@" >&2
  elif has wget; then
    # The wget of BusyBox knows neither --tries nor --no-verbose, and that of 1.35 crashes at -T.
    case $(wget --version 2>/dev/null) in
      *GNU*) wget --no-verbose --tries=2 --timeout=30 --output-document="$2" "$1" >&2 ;;
      *) wget -q -O "$2" "$1" >&2 ;;
    esac
  else
    fail "neither curl nor wget was found" "install one of them, or name a folder: --base-url file:///FOLDER"
  fi
}

sha256_of() {
  if has sha256sum; then
    sha256sum <"$1" | awk '{ print $1 }'
  elif has shasum; then
    shasum -a 256 <"$1" | awk '{ print $1 }'
  elif has openssl; then
    openssl dgst -sha256 <"$1" | awk '{ print $NF }'
  else
    fail "none of sha256sum, shasum and openssl was found, so the download cannot be verified" "install one of them"
  fi
}

main() {
  version=${EKS_BOOTSTRAP_VERSION:-$default_version}
  directory=${EKS_BOOTSTRAP_INSTALL_DIR:-}
  base_url=${EKS_BOOTSTRAP_BASE_URL:-$default_base_url}

  while [ $# -gt 0 ]; do
    case $1 in
      --version | --dir | --base-url)
        [ $# -ge 2 ] || fail "$1 needs a value" "see --help"
        option=$1
        value=$2
        shift 2
        ;;
      --version=* | --dir=* | --base-url=*)
        option=${1%%=*}
        value=${1#*=}
        shift
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) fail "unknown argument: $1" "see --help" ;;
    esac
    case $option in
      --version) version=$value ;;
      --dir) directory=$value ;;
      --base-url) base_url=$value ;;
    esac
  done

  # The version becomes a part of paths and of a URL.
  version=${version#v}
  case $version in
    [0-9]*) ;;
    *) fail "not a version: $version" "pass one such as $default_version" ;;
  esac
  case $version in
    *[!0-9A-Za-z.+-]* | *..*) fail "not a version: $version" "pass one such as $default_version" ;;
  esac
  base_url=${base_url%/}
  case $base_url in
    https://?* | http://?* | file:///?*) ;;
    *) fail "not a base URL: $base_url" "pass one that begins with https://, http:// or file:///" ;;
  esac
  if [ -z "$directory" ]; then
    [ -n "${HOME:-}" ] || fail "HOME is not set" "pass --dir DIR"
    directory=$HOME/.local/bin
  fi
  for tool in awk gzip mktemp tar; do
    has "$tool" || fail "$tool was not found" "install it"
  done

  target=$(detect_target)
  stem=$program-$version-$target
  archive=$stem.tar.gz
  source=$base_url/v$version
  # What is printed holds no user and password of a mirror.
  shown=$source
  authority=${source#*://}
  case ${authority%%/*} in
    *@*) shown=${source%%://*}://${authority#*@} ;;
  esac

  trap clean EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  work=$(mktemp -d "${TMPDIR:-/tmp}/$program-install.XXXXXX") ||
    fail "cannot create a temporary folder in ${TMPDIR:-/tmp}" "set TMPDIR to a folder that can be written"

  say "downloading $shown/$archive"
  fetch "$source/SHA256SUMS" "$work/SHA256SUMS" ||
    fail "cannot download $shown/SHA256SUMS" "check that version $version was released and that the server can be reached"
  # The line of exactly this name, with or without the mark of a binary file.
  expected=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1 }' "$work/SHA256SUMS")
  case $expected in
    '') fail "$shown/SHA256SUMS has no line for $archive" "see whether the release has an archive for this platform" ;;
    *[!0-9a-f]*) fail "$shown/SHA256SUMS has no single SHA-256 for $archive" "report it: the release is broken" ;;
  esac
  [ ${#expected} -eq 64 ] || fail "$shown/SHA256SUMS has no single SHA-256 for $archive" "report it: the release is broken"

  fetch "$source/$archive" "$work/$archive" ||
    fail "cannot download $shown/$archive" "run this again; if it stays so, check the release"
  actual=$(sha256_of "$work/$archive")
  if [ "$actual" != "$expected" ]; then
    say "error: the SHA-256 of $archive is not that of SHA256SUMS; nothing was unpacked or installed"
    say "  expected  $expected"
    say "  actual    ${actual:-none}"
    say "fix: run this again (the download may be cut off); if it stays so, do not use this source"
    exit 1
  fi

  # Only the program: what else is in the archive is for people who unpack it themselves.
  tar -xzf "$work/$archive" -C "$work" "$stem/$program" ||
    fail "$archive cannot be unpacked" "report it: the release is broken"
  unpacked=$work/$stem/$program
  if [ -h "$unpacked" ] || [ ! -f "$unpacked" ]; then
    fail "$archive does not hold $stem/$program as a file" "report it: the release is broken"
  fi

  mkdir -p -- "$directory" || fail "cannot create $directory" "pass --dir DIR with a folder that you may write"
  [ ! -d "$directory/$program" ] || fail "$directory/$program is a folder" "pass another folder with --dir DIR"
  # In the same folder, so that the rename is one on one file system, and where programs may run even if they may not in /tmp.
  staged=$directory/.$program.$$
  rm -f -- "$staged"
  if ! cp -- "$unpacked" "$staged" || ! chmod 755 "$staged"; then
    fail "cannot write to $directory" "pass --dir DIR with a folder that you may write"
  fi
  reported=$("$staged" --version) || fail "the program does not run on this machine" "install from source; see README.md"
  [ "$reported" = "$program $version" ] ||
    fail "$archive holds another version: $reported" "report it: the release is broken"
  mv -f -- "$staged" "$directory/$program" || fail "cannot write $directory/$program" "pass --dir DIR with a folder that you may write"
  staged=

  say "installed $directory/$program ($reported)"
  case :${PATH:-}: in
    *":$directory:"*) ;;
    *) say "note: $directory is not in PATH: add it in the profile of your shell" ;;
  esac
  has helm || say "note: helm was not found: eks-bootstrap needs Helm 3.14 or newer to install releases"
}

# The last line, so that a script that arrives in part does nothing.
main ${1+"$@"}
