# shellcheck shell=sh
# Counts and names the cases of the tests in this folder, which read it with `.`: ok, not_ok, is, skip, and summary as the last word.

passed=0
failed=0
skipped=0

# What else a case that failed shows; a test may define its own.
details() { :; }

ok() {
  passed=$((passed + 1))
  echo "ok    $1"
}

# not_ok NAME REASON
not_ok() {
  failed=$((failed + 1))
  echo "fail  $1: $2"
  details
}

# is NAME ACTUAL EXPECTED
is() {
  if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "\"$2\" is not \"$3\""; fi
}

# skip NAME REASON
skip() {
  skipped=$((skipped + 1))
  echo "skip  $1: $2"
}

# Fails if a case has.
summary() {
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}
