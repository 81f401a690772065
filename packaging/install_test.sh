#!/bin/sh
# Tests install.sh with made-up archives: sh packaging/install_test.sh
#
# Nothing leaves the machine, nothing is compiled, and it takes a few seconds. Most cases read the archives from a
# folder (file://), which goes the same way as a download from the checksum file on and needs no server. What only a server
# can do (a transfer that is cut off, an error page, a redirect) is tried on loopback where there is a python3; without
# one, these cases say that they are skipped. TEST_SHELL names the shell that runs install.sh [sh].

set -u

here=$(cd "$(dirname "$0")" && pwd)
shell=${TEST_SHELL:-sh}
root=$(mktemp -d "${TMPDIR:-/tmp}/install-test.XXXXXX") || exit 1
server=
# shellcheck source=packaging/checks.sh
. "$here/checks.sh"
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$root"' EXIT
trap 'exit 130' INT TERM HUP

version=9.8.7
mirror=$root/mirror
release=$mirror/v$version
mkdir -p "$release" "$root/tmp" "$root/stubs"

# archive TARGET [REPORTED]: a program that says REPORTED, packed as a release is.
archive() {
  stem=eks-bootstrap-$version-$1
  mkdir -p "$root/pack/$stem/completions"
  printf '#!/bin/sh\necho "%s"\n' "${2:-eks-bootstrap $version}" >"$root/pack/$stem/eks-bootstrap"
  chmod 755 "$root/pack/$stem/eks-bootstrap"
  echo text >"$root/pack/$stem/LICENSE"
  # Enough to cut off.
  dd if=/dev/urandom of="$root/pack/$stem/completions/eks-bootstrap.bash" bs=1024 count=64 2>/dev/null
  (cd "$root/pack" && tar -cf - "$stem" | gzip -c >"$release/$stem.tar.gz")
}

digest() {
  if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi | cut -d ' ' -f 1
}

sums() {
  for file in "$release"/*.tar.gz; do
    printf '%s  %s\n' "$(digest "$file")" "${file##*/}"
  done >"$release/SHA256SUMS"
}

# platform SYSTEM MACHINE [TRANSLATED]: what uname and sysctl say.
platform() {
  # shellcheck disable=SC2016  # $1 is that of the stub.
  printf '#!/bin/sh\ncase $1 in -s) echo %s ;; -m) echo %s ;; esac\n' "$1" "$2" >"$root/stubs/uname"
  printf '#!/bin/sh\necho %s\n' "${3:-0}" >"$root/stubs/sysctl"
  chmod 755 "$root/stubs/uname" "$root/stubs/sysctl"
}

# only TOOL...: a PATH that has what install.sh always needs, and of the others only these.
only() {
  rm -rf "$root/only"
  mkdir "$root/only"
  for needed in awk cat chmod cp gzip gunzip mkdir mktemp mv printf rm tar sh "$@"; do
    found=$(command -v "$needed") || continue
    # What is built into this shell may not be built into the other.
    case $found in
      /*) ;;
      *) found=/usr/bin/$needed ;;
    esac
    ln -s "$found" "$root/only/$needed"
  done
  path=$root/only
}

# run ARGUMENT...: install.sh with an environment of its own; sets $code, $output.
run() {
  # TERM is no variable that counts; env -i leaves the user's own EKS_BOOTSTRAP_* and proxies out.
  output=$(env -i HOME="$root/home" TMPDIR="$root/tmp" PATH="$root/stubs:${path:-$PATH}" \
    EKS_BOOTSTRAP_BASE_URL="${base:-file://$mirror}" EKS_BOOTSTRAP_VERSION="$version" \
    EKS_BOOTSTRAP_INSTALL_DIR="${directory:-}" "$shell" "$here/install.sh" "$@" 2>&1)
  code=$?
}

details() {
  printf '%s\n' "$output" | sed 's/^/      /'
}

# What is left in the folder for temporary files or beside the program.
left() {
  ls -A "$root/tmp"
  find "$root/home" -type f ! -name eks-bootstrap 2>/dev/null
}

# installs NAME ARGUMENT...: succeeds, and the program runs.
installs() {
  name=$1
  shift
  rm -rf "${root:?}/home"
  run "$@"
  place=${directory:-$root/home/.local/bin}/eks-bootstrap
  if [ "$code" -ne 0 ]; then
    not_ok "$name" "exit code $code"
  elif [ "$("$place" --version)" != "eks-bootstrap $version" ]; then
    not_ok "$name" "the program is not there"
  elif [ -n "$(left)" ]; then
    not_ok "$name" "left behind: $(left)"
  else
    ok "$name"
  fi
}

# refuses NAME TEXT ARGUMENT...: fails with TEXT and a fix, leaves nothing behind, and keeps what was installed.
refuses() {
  name=$1
  text=$2
  shift 2
  rm -rf "${root:?}/home"
  mkdir -p "$root/home/.local/bin"
  echo earlier >"$root/home/.local/bin/eks-bootstrap"
  run "$@"
  if [ "$code" -ne 1 ]; then
    not_ok "$name" "exit code $code"
  elif ! printf '%s\n' "$output" | grep -F "error: $text" >/dev/null; then
    not_ok "$name" "no \"error: $text\""
  elif ! printf '%s\n' "$output" | grep '^fix: ' >/dev/null; then
    not_ok "$name" "no fix"
  elif [ "$(cat "$root/home/.local/bin/eks-bootstrap")" != earlier ]; then
    not_ok "$name" "what was installed is gone"
  elif [ -n "$(left)" ]; then
    not_ok "$name" "left behind: $(left)"
  else
    ok "$name"
  fi
}

path=
base=
directory=
for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl x86_64-apple-darwin aarch64-apple-darwin; do
  archive "$target"
done
sums
linux=eks-bootstrap-$version-x86_64-unknown-linux-musl.tar.gz

# Platforms. Each archive is the only one in the checksum file, so that no other can be taken.
platforms() {
  cp "$release/SHA256SUMS" "$root/all"
  while read -r system machine translated target; do
    platform "$system" "$machine" "$translated"
    grep -e "-$target.tar.gz" "$root/all" >"$release/SHA256SUMS"
    installs "$system on $machine gets $target"
  done <<END
Linux x86_64 0 x86_64-unknown-linux-musl
Linux aarch64 0 aarch64-unknown-linux-musl
Darwin x86_64 0 x86_64-apple-darwin
Darwin arm64 0 aarch64-apple-darwin
Darwin x86_64 1 aarch64-apple-darwin
END
  cp "$root/all" "$release/SHA256SUMS"
}
platforms
platform Linux riscv64
refuses "another processor" "unsupported platform: Linux on riscv64"
platform FreeBSD amd64
refuses "another system" "unsupported platform: FreeBSD on amd64"
platform Linux x86_64

# Arguments.
installs "--version with a v" --version "v$version"
installs "--version=" "--version=$version"
directory="$root/a folder/bin"
installs "a folder with a space in its name"
directory=
refuses "a version that was not released" "cannot download file://$mirror/v1.2.3/SHA256SUMS" --version 1.2.3
refuses "a version that is a path" "not a version: 1/../../x" --version 1/../../x
refuses "a version that is none" "not a version: latest" --version latest
refuses "an unknown argument" "unknown argument: --force" --force
refuses "a flag without its value" "--dir needs a value" --dir
refuses "another kind of URL" "not a base URL: ftp://127.0.0.1" --base-url ftp://127.0.0.1
refuses "a folder that cannot be made" "cannot create $release/$linux/bin" --dir "$release/$linux/bin"
run --help
if [ "$code" -eq 0 ] && printf '%s' "$output" | grep -q -e '--base-url'; then ok "--help"; else not_ok "--help" "$code"; fi

# Digests.
sed 's/  / */' "$root/all" >"$release/SHA256SUMS"
installs "a checksum file in the binary form"
sed "s/^[0-9a-f]*  $linux/$(printf '%064d' 0)  $linux/" "$root/all" >"$release/SHA256SUMS"
refuses "a wrong digest" "the SHA-256 of $linux is not that of SHA256SUMS"
grep -v "$linux" "$root/all" >"$release/SHA256SUMS"
refuses "no line in the checksum file" "file://$release/SHA256SUMS has no line for $linux"
sed "s/$linux/other-$linux/" "$root/all" >"$release/SHA256SUMS"
refuses "a line for a longer name only" "file://$release/SHA256SUMS has no line for $linux"
{ cat "$root/all"; printf '%064d  %s\n' 0 "$linux"; } >"$release/SHA256SUMS"
refuses "two lines that differ" "file://$release/SHA256SUMS has no single SHA-256 for $linux"
sed "s/^[0-9a-f]*  $linux/abc  $linux/" "$root/all" >"$release/SHA256SUMS"
refuses "a digest that is too short" "file://$release/SHA256SUMS has no single SHA-256 for $linux"
rm "$release/SHA256SUMS"
refuses "no checksum file" "cannot download file://$release/SHA256SUMS"
cp "$root/all" "$release/SHA256SUMS"

# Archives.
cp "$release/$linux" "$root/whole"
dd if="$root/whole" of="$release/$linux" bs=1024 count=20 2>/dev/null
refuses "a truncated archive" "the SHA-256 of $linux is not that of SHA256SUMS"
sums
refuses "a truncated archive with its own digest" "$linux cannot be unpacked"
rm "$release/$linux"
refuses "no archive" "cannot download file://$release/$linux"
archive x86_64-unknown-linux-musl "eks-bootstrap 1.0.0"
sums
refuses "an archive of another version" "$linux holds another version: eks-bootstrap 1.0.0"
ln -sf /bin/sh "$root/pack/eks-bootstrap-$version-x86_64-unknown-linux-musl/eks-bootstrap"
(cd "$root/pack" && tar -cf - "${linux%.tar.gz}" | gzip -c >"$release/$linux")
sums
refuses "a link in place of the program" "$linux does not hold"
rm "$root/pack/eks-bootstrap-$version-x86_64-unknown-linux-musl/eks-bootstrap"
printf '#!/nowhere/interpreter\n' >"$root/pack/eks-bootstrap-$version-x86_64-unknown-linux-musl/eks-bootstrap"
chmod 755 "$root/pack/eks-bootstrap-$version-x86_64-unknown-linux-musl/eks-bootstrap"
(cd "$root/pack" && tar -cf - "${linux%.tar.gz}" | gzip -c >"$release/$linux")
sums
refuses "a program that does not run here" "the program does not run on this machine"
cp "$root/whole" "$release/$linux"
cp "$root/all" "$release/SHA256SUMS"

# Tools.
for tool in sha256sum shasum openssl; do
  if command -v "$tool" >/dev/null; then
    # shasum is a Perl program.
    only "$tool" perl
    installs "verified by $tool"
  else
    skip "verified by $tool" "not installed"
  fi
done
only
refuses "nothing that verifies" "none of sha256sum, shasum and openssl was found"
only sha256sum
base=http://127.0.0.1:9
refuses "neither curl nor wget" "neither curl nor wget was found"
path=

# Servers. Nothing listens on the port for discarded packets.
for client in curl wget; do
  if command -v "$client" >/dev/null; then
    only sha256sum shasum perl "$client"
    refuses "no server, asked by $client" "cannot download http://127.0.0.1:9/v$version/SHA256SUMS"
    base=http://user:secret@127.0.0.1:9
    refuses "a password in the URL is not shown, with $client" "cannot download http://127.0.0.1:9/v$version/SHA256SUMS"
    case $output in *secret*) not_ok "a password in the URL is not shown, with $client" "it is" ;; esac
    base=http://127.0.0.1:9
  else
    skip "no server, asked by $client" "not installed"
  fi
done
path=

if command -v python3 >/dev/null; then
  mkfifo "$root/port"
  python3 -c '
import http.server, os, sys

class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        kind, _, rest = self.path[1:].partition("/")
        self.path = "/" + rest
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", "/plain/" + rest)
            self.end_headers()
        elif kind == "cut" and rest.endswith(".gz"):
            with open(self.translate_path(self.path), "rb") as file:
                body = file.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
        elif kind == "page" and rest.endswith(".gz"):
            body = b"<html>sign in</html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def log_message(self, *_):
        pass

os.chdir(sys.argv[1])
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    with open(sys.argv[2], "w") as port:
        print(server.server_address[1], file=port)
    server.serve_forever()
' "$mirror" "$root/port" &
  server=$!
  read -r port <"$root/port"
  at=http://127.0.0.1:$port
  for client in curl wget; do
    if ! command -v "$client" >/dev/null; then
      skip "downloads by $client" "not installed"
      continue
    fi
    only sha256sum shasum perl "$client"
    base=$at/plain
    installs "a download by $client"
    base=$at/plain/
    installs "a base URL that ends with a slash, by $client"
    base=$at/moved
    installs "a redirect, followed by $client"
    base=$at/page
    refuses "a page in place of the archive, by $client" "the SHA-256 of $linux is not that of SHA256SUMS"
    base=$at/plain
    refuses "a version that the server does not have, by $client" "cannot download $at/plain/v1.2.3/SHA256SUMS" --version 1.2.3
  done
  # wget tries these again and waits in between, so only curl is asked.
  if command -v curl >/dev/null; then
    only sha256sum shasum perl curl
    base=$at/cut
    refuses "a transfer that is cut off" "cannot download $at/cut/v$version/$linux"
  fi
else
  skip "downloads from a server" "python3 is not installed"
fi

summary
