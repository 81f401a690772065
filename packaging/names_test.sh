#!/bin/sh
# Tests that versions, addresses and names agree wherever they stand: sh packaging/names_test.sh
#
# Made-up programs are packed for every target, checksums made, formula and manifest filled, and what comes out is
# installed, as the release workflow does it. Takes a second or two and asks nothing but this machine. Where ruby or a
# Python with PyYAML is missing, the cases that need it say that they are skipped.

set -u

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/names-test.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$root" || exit 1
# shellcheck source=packaging/checks.sh
. packaging/checks.sh

# runs NAME COMMAND...
runs() {
  name=$1
  shift
  if "$@" >"$work/output" 2>&1; then is "$name" 0 0; else is "$name" "$(cat "$work/output")" "exit code 0"; fi
}

field() {
  sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" Cargo.toml | head -n 1
}

version=$(field version)
repository=$(field repository)
targets="aarch64-apple-darwin aarch64-unknown-linux-musl x86_64-apple-darwin x86_64-unknown-linux-musl"

# One version and one address.
is "install.sh: version" "$(sed -n 's/^default_version=//p' packaging/install.sh)" "$version"
is "install.sh: address" "$(sed -n 's/^default_base_url=//p' packaging/install.sh)" "$repository/releases/download"
is "CHANGELOG.md: a section of the version or an unreleased one" \
  "$(grep -cE "^## \[($version|Unreleased)\]" CHANGELOG.md | sed 's/^[1-9][0-9]*$/yes/')" yes
is "no other address of this repository" \
  "$(grep -rhoE 'https://github\.com/[^/ "]*/eks-bootstrap' packaging action.yml Cargo.toml CHANGELOG.md CONTRIBUTING.md SECURITY.md |
    sort -u | tr '\n' ' ')" "$repository "
is "Containerfile: the oldest Rust" "$(sed -n 's/^FROM docker.io\/library\/rust:\([0-9.]*\)-.*/\1/p' packaging/Containerfile)" \
  "$(field rust-version)"

# One set of targets.
is "release.yml: targets" "$(sed -n 's/.*{target: \([^,]*\),.*/\1/p' .github/workflows/release.yml | sort | tr '\n' ' ')" "$targets "
for template in packaging/homebrew/eks-bootstrap.rb packaging/krew/eks-bootstrap.yaml; do
  is "$template: targets" "$(sed -n 's/.*@SHA256(\(.*\))@.*/\1/p' "$template" | sort | tr '\n' ' ')" "$targets "
done

# What is packed is what cargo binstall, the formula and the manifest look for.
cat >"$work/program" <<END
#!/bin/sh
case \$1 in
  --version) echo "eks-bootstrap $version" ;;
  *) echo "made up for \$*" ;;
esac
END
chmod 755 "$work/program"
mkdir -p "$work/mirror/v$version"
for target in $targets; do
  runs "pack $target" sh packaging/pack.sh "$work/program" "$target" "$work/mirror/v$version"
  archive=$(field pkg-url | sed -e "s|{ repo }/releases/download/v{ version }/||" -e "s/{ name }/eks-bootstrap/" \
    -e "s/{ version }/$version/" -e "s/{ target }/$target/")
  program=$(field bin-dir | sed -e "s/{ name }/eks-bootstrap/" -e "s/{ version }/$version/" -e "s/{ target }/$target/" \
    -e "s/{ bin }{ binary-ext }/eks-bootstrap/")
  is "cargo binstall: $target" "$(tar -tzf "$work/mirror/v$version/$archive" | grep -cxF "$program")" 1
done
stem=eks-bootstrap-$version-x86_64-unknown-linux-musl
is "what an archive holds" "$(tar -tzf "$work/mirror/v$version/$stem.tar.gz" | grep -v '/$' | sed "s|^$stem/||" | LC_ALL=C sort | tr '\n' ' ')" \
  "CHANGELOG.md LICENSE README.md completions/_eks-bootstrap completions/eks-bootstrap.bash completions/eks-bootstrap.fish eks-bootstrap man/eks-bootstrap.1 "
cp "$work/mirror/v$version/$stem.tar.gz" "$work/first"
sh packaging/pack.sh "$work/program" x86_64-unknown-linux-musl "$work/mirror/v$version" >/dev/null
if tar --version | grep -q GNU; then
  runs "the same bytes each time" cmp "$work/first" "$work/mirror/v$version/$stem.tar.gz"
else
  skip "the same bytes each time" "tar is not GNU tar"
fi
sed "s/eks-bootstrap $version/eks-bootstrap 0.0.1/" "$work/program" >"$work/other"
chmod 755 "$work/other"
is "a program of another version is not packed" \
  "$(sh packaging/pack.sh "$work/other" x86_64-unknown-linux-musl "$work" 2>&1)" \
  "error: $work/other is \"eks-bootstrap 0.0.1\", and Cargo.toml says $version"

(cd "$work/mirror/v$version" && if command -v sha256sum >/dev/null; then sha256sum ./*.tar.gz; else shasum -a 256 ./*.tar.gz; fi |
  sed 's|\./||') >"$work/SHA256SUMS"
cp "$work/SHA256SUMS" "$work/mirror/v$version/SHA256SUMS"
runs "install.sh takes what is packed" env HOME="$work/home" EKS_BOOTSTRAP_VERSION='' sh packaging/install.sh --base-url "file://$work/mirror"

# Formula and manifest.
fill() {
  sh packaging/fill.sh "$1" "$version" "$work/SHA256SUMS"
}
runs "formula is filled" fill packaging/homebrew/eks-bootstrap.rb
cp "$work/output" "$work/eks-bootstrap.rb"
runs "manifest is filled" fill packaging/krew/eks-bootstrap.yaml
cp "$work/output" "$work/eks-bootstrap.yaml"
while read -r digest archive; do
  for file in eks-bootstrap.rb eks-bootstrap.yaml; do
    # The digest stands right after the address of its archive.
    is "$file: $archive" "$(grep -A1 -F "$repository/releases/download/v$version/$archive" "$work/$file" | grep -cF "$digest")" 1
  done
done <"$work/SHA256SUMS"
grep -v aarch64-apple "$work/SHA256SUMS" >"$work/short"
is "a missing digest is an error" \
  "$(sh packaging/fill.sh packaging/krew/eks-bootstrap.yaml "$version" "$work/short" 2>&1 | tail -n 1)" \
  "error: $work/short has no digest for the lines above"
if command -v ruby >/dev/null; then
  runs "formula: ruby -c" ruby -wc "$work/eks-bootstrap.rb"
else
  skip "formula" "ruby is not installed"
fi
if python3 -c 'import yaml' 2>/dev/null; then
  runs "manifest: the rules of krew" python3 packaging/krew/validate.py "$work/eks-bootstrap.yaml"
else
  skip "manifest" "no Python with PyYAML"
fi

summary
