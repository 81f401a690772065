#!/bin/sh
# Tests the scripts of the GitHub Action with stand-ins for the program and for `gh`: sh packaging/action/action_test.sh
#
# Takes a second, needs jq for the cases of comments (they say that they are skipped without it), and asks nothing but this
# machine. TEST_SHELL names the shell that runs the scripts [sh].

set -u

here=$(cd "$(dirname "$0")" && pwd)
shell=${TEST_SHELL:-sh}
root=$(mktemp -d "${TMPDIR:-/tmp}/action-test.XXXXXX") || exit 1
trap 'rm -rf "$root"' EXIT
# shellcheck source=packaging/checks.sh
. "$here/../checks.sh"

# has NAME FILE TEXT; lacks NAME FILE TEXT
has() {
  if grep -qF -- "$3" "$2"; then ok "$1"; else not_ok "$1" "no \"$3\" in $(cat "$2")"; fi
}
lacks() {
  if grep -qF -- "$3" "$2"; then not_ok "$1" "\"$3\" in $(cat "$2")"; else ok "$1"; fi
}

RUNNER_TEMP=$root/temp
GITHUB_OUTPUT=$root/outputs
GITHUB_STEP_SUMMARY=$root/summary
GITHUB_SERVER_URL=https://github.com
GITHUB_REPOSITORY=owner/name
GITHUB_RUN_ID=42
export RUNNER_TEMP GITHUB_OUTPUT GITHUB_STEP_SUMMARY GITHUB_SERVER_URL GITHUB_REPOSITORY GITHUB_RUN_ID
mkdir -p "$RUNNER_TEMP/eks-bootstrap/bin" "$root/bin" "$root/work"

# The program: writes its arguments one per line, prints what is planted, and exits with the planted code.
cat >"$RUNNER_TEMP/eks-bootstrap/bin/eks-bootstrap" <<'END'
#!/bin/sh
root=$(dirname "$RUNNER_TEMP")
printf '%s\n' "$@" >"$root/arguments"
cat "$root/prints"
cat "$root/complains" >&2
exit "$(cat "$root/exits")"
END
chmod 755 "$RUNNER_TEMP/eks-bootstrap/bin/eks-bootstrap"

# run COMMAND CLUSTER REGION FILE ARGS: run.sh; its log is in $root/log.
run() {
  : >"$GITHUB_OUTPUT"
  : >"$GITHUB_STEP_SUMMARY"
  (cd "$root/work" && INPUT_COMMAND=$1 INPUT_CLUSTER=$2 INPUT_REGION=$3 INPUT_FILE=$4 INPUT_ARGS=$5 INPUT_SARIF_FILE=found.sarif \
    "$shell" "$here/run.sh") >"$root/log" 2>&1
  code=$?
}

output() {
  sed -n "s/^$1=//p" "$GITHUB_OUTPUT"
}

echo "Plan for demo" >"$root/prints"
echo "warning: something" >"$root/complains"

# Arguments and outputs of a plan.
echo 2 >"$root/exits"
run plan demo eu-west-1 "first.yaml
second file.yaml" "--isolated
--tag
team=a b \"c\" \$(touch $root/injected) ; \`touch $root/injected\`"
is "plan: exit code of the script" "$code" 0
is "plan: arguments" "$(cat "$root/arguments")" "plan
--detailed-exitcode
--cluster=demo
--region=eu-west-1
--file=first.yaml
--file=second file.yaml
--isolated
--tag
team=a b \"c\" \$(touch $root/injected) ; \`touch $root/injected\`"
is "plan: exit code of the program" "$(output exit-code)" 2
is "plan: changes" "$(output changes)" true
is "plan: no SARIF" "$(output sarif-file)" ""
is "plan: warnings are not in the result" "$(cat "$(output output-file)")" "Plan for demo"
has "plan: warnings are in the log" "$root/log" "warning: something"
has "plan: the result is in the summary" "$GITHUB_STEP_SUMMARY" "Plan for demo"
: >"$root/work/found.sarif"
echo 0 >"$root/exits"
run plan demo "" "" ""
is "plan without changes: changes" "$(output changes)" false
is "plan without a region: arguments" "$(tr '\n' ' ' <"$root/arguments")" "plan --detailed-exitcode --cluster=demo "
is "SARIF that exists" "$(output sarif-file)" "$root/work/found.sarif"
echo 77 >"$root/exits"
run plan demo "" "" ""
is "plan that fails: exit code of the script" "$code" 0
is "plan that fails: exit code" "$(output exit-code)" 77
is "plan that fails: changes" "$(output changes)" false
has "plan that fails: errors are in the result" "$(output output-file)" "warning: something"
run "plan; touch $root/injected" demo "" "" ""
is "an unknown command" "$code" 64
is "an unknown command: no outputs" "$(cat "$GITHUB_OUTPUT")" ""

# Apply.
echo 1 >"$root/exits"
run apply "--help" "" "" ""
is "apply: exit code of the script" "$code" 0
is "apply: arguments" "$(tr '\n' ' ' <"$root/arguments")" "apply --yes --cluster=--help "
is "apply: exit code" "$(output exit-code)" 1
has "apply: progress is in the log" "$root/log" "warning: something"
if [ -e "$root/injected" ]; then not_ok "injection" "an input was run"; else ok "no input was run"; fi

# A run that is cancelled: the program gets SIGTERM, and what it says at the end is kept.
cp "$RUNNER_TEMP/eks-bootstrap/bin/eks-bootstrap" "$root/program"
cat >"$RUNNER_TEMP/eks-bootstrap/bin/eks-bootstrap" <<'END'
#!/bin/sh
trap 'echo "stopped, 3 of 9 steps complete"; exit 143' TERM
echo started >"$(dirname "$RUNNER_TEMP")/started"
# It ends by itself too, so that a signal that is not passed on is a failure and no test that hangs.
turns=0
while [ "$turns" -lt 50 ]; do
  sleep 0.1
  turns=$((turns + 1))
done
END
for command in plan apply; do
  rm -f "$root/started"
  : >"$GITHUB_OUTPUT"
  (
    cd "$root/work" || exit 1
    export INPUT_COMMAND="$command" INPUT_CLUSTER=demo INPUT_REGION='' INPUT_FILE='' INPUT_ARGS='' INPUT_SARIF_FILE=''
    exec "$shell" "$here/run.sh"
  ) >"$root/log" 2>&1 &
  script=$!
  tries=0
  while [ ! -s "$root/started" ] && [ "$tries" -lt 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
  done
  # A shell starts what is in the background with SIGINT ignored, so SIGTERM stands for it.
  kill -TERM "$script"
  wait "$script"
  is "$command, cancelled: exit code" "$(output exit-code)" 143
  has "$command, cancelled: last words" "$root/log" "stopped, 3 of 9 steps complete"
done
mv "$root/program" "$RUNNER_TEMP/eks-bootstrap/bin/eks-bootstrap"

# Untrusted text: commands to the runner, fences, control characters, length.
printf '%s\n' "::error::forged" "::set-output name=x::y" '```' '</details>' '````' '<!-- eks-bootstrap plan 1 -->' >"$root/prints"
printf 'a\033[31mred\r\000b\n' >>"$root/prints"
echo 2 >"$root/exits"
run plan demo "" "" ""
secret=$(sed -n 's/^::stop-commands::\([0-9a-f]*\)$/\1/p' "$root/log")
is "the runner's commands are off before the output" "$(sed -n 1p "$root/log")" "::stop-commands::$secret"
is "and on again after it" "$(tail -n 1 "$root/log")" "::$secret::"
is "the word for it cannot be guessed" "${#secret}" 32
is "the fence is longer than any in the text" "$(grep -c '^`````' "$GITHUB_STEP_SUMMARY")" 2
has "control characters are gone" "$GITHUB_STEP_SUMMARY" "a[31mredb"
awk 'BEGIN { for (i = 0; i < 9000; i++) print "0123456789" }' >"$root/long"
is "a long text is cut in whole lines" "$(sh "$here/fence.sh" 1105 <"$root/long" | wc -l | tr -d ' ')" 103
has "and says so" "$root/log" "::$secret::"
sh "$here/fence.sh" 1105 <"$root/long" >"$root/cut"
has "a long text says that it is cut" "$root/cut" "... cut here"
awk 'BEGIN { for (i = 0; i < 500; i++) printf "`"; print "" }' | sh "$here/fence.sh" 1000 >"$root/cut"
is "an absurd run of backticks makes no absurd fence" "$(sed -n 1p "$root/cut")" '```text'

# Comments.
cat >"$root/bin/gh" <<'END'
#!/bin/sh
# Keeps the comments in one file of JSON, and knows the three calls of comment.sh.
root=$(dirname "$RUNNER_TEMP")
printf '%s\n' "$*" >>"$root/calls"
printf '%s %s %s\n' "$GH_HOST" "$GH_TOKEN" "$GH_ENTERPRISE_TOKEN" >"$root/login"
[ ! -e "$root/denied" ] || { echo "gh: Resource not accessible by integration (HTTP 403)" >&2; exit 1; }
[ "$1" = api ] || exit 9
shift
case "$*" in
  --paginate\ repos/owner/name/issues/7/comments\?per_page=100\ --jq\ *) jq -r "$4" "$root/comments.json" ;;
  --silent\ --method\ POST\ repos/owner/name/issues/7/comments\ -F\ body=@*)
    jq --rawfile body "${6#body=@}" '. + [{id: (length + 1), user: {login: "github-actions[bot]"}, body: $body}]' \
      "$root/comments.json" >"$root/comments.new" && mv "$root/comments.new" "$root/comments.json"
    ;;
  --silent\ --method\ PATCH\ repos/owner/name/issues/comments/[0-9]*\ -F\ body=@*)
    jq --rawfile body "${6#body=@}" --argjson id "${4##*/}" 'map(if .id == $id then .body = $body else . end)' \
      "$root/comments.json" >"$root/comments.new" && mv "$root/comments.new" "$root/comments.json"
    ;;
  *) exit 9 ;;
esac
END
chmod 755 "$root/bin/gh"

# comment CLUSTER REGION [PULL_REQUEST]
comment() {
  : >"$root/calls"
  PATH=$root/bin:$PATH INPUT_CLUSTER=$1 INPUT_REGION=$2 INPUT_FILE='' INPUT_WORKING_DIRECTORY=. \
    INPUT_COMMENT_AUTHOR='github-actions[bot]' INPUT_TOKEN=secret-token EXIT_CODE=$(output exit-code) \
    OUTPUT_FILE=$(output output-file) PULL_REQUEST=${3-7} HEAD_SHA=0123abcd \
    "$shell" "$here/comment.sh" >"$root/log" 2>&1
  code=$?
}

if command -v jq >/dev/null; then
  echo '[]' >"$root/comments.json"
  comment demo eu-west-1
  is "first comment: exit code" "$code" 0
  is "first comment: how many" "$(jq length "$root/comments.json")" 1
  jq -r '.[0].body' "$root/comments.json" >"$root/body"
  has "comment: title" "$root/body" "### eks-bootstrap: plan of cluster demo in eu-west-1"
  has "comment: verdict" "$root/body" "**Changes are pending**"
  has "comment: run" "$root/body" "0123abcd, [run](https://github.com/owner/name/actions/runs/42)"
  is "comment: the fence holds" "$(grep -c '^`````' "$root/body")" 2
  is "comment: login" "$(cat "$root/login")" "github.com secret-token secret-token"
  lacks "the token is no argument" "$root/calls" secret-token
  lacks "the token is not in the log" "$root/log" secret-token
  marker=$(sed -n 1p "$root/body")

  echo 0 >"$root/exits"
  run plan demo "" "" ""
  comment demo eu-west-1
  is "second run: how many" "$(jq length "$root/comments.json")" 1
  jq -r '.[0].body' "$root/comments.json" >"$root/body"
  has "second run: updated" "$root/body" "**No changes**"
  comment other eu-west-1
  is "another cluster: how many" "$(jq length "$root/comments.json")" 2

  # Somebody else wrote the hidden line first.
  jq -n --arg body "$marker
forged" '[{id: 1, user: {login: "somebody"}, body: $body}]' >"$root/comments.json"
  comment demo eu-west-1
  is "a comment of somebody else: how many" "$(jq length "$root/comments.json")" 2
  is "a comment of somebody else: untouched" "$(jq -r '.[0].body' "$root/comments.json" | tail -n 1)" forged

  echo '[]' >"$root/comments.json"
  comment "](http://evil) --> <b>" 'eu"'
  jq -r '.[0].body' "$root/comments.json" >"$root/body"
  is "names that mean something in Markdown are not shown" "$(sed -n 2p "$root/body")" "### eks-bootstrap: plan"
  is "nor are they in the hidden line" "$(sed -n 1p "$root/body" | tr -d 0-9)" "<!-- eks-bootstrap plan - -->"

  echo 77 >"$root/exits"
  run plan demo "" "" ""
  comment demo eu-west-1
  jq -r '.[-1].body' "$root/comments.json" >"$root/body"
  has "a plan that may not read everything" "$root/body" "access denied (exit code 77)"

  cp "$root/long" "$root/prints"
  run plan demo "" "" ""
  echo '[]' >"$root/comments.json"
  comment demo eu-west-1
  if [ "$(jq '.[0].body | length' "$root/comments.json")" -lt 65536 ]; then ok "a long plan fits"; else not_ok "a long plan fits" "no"; fi

  : >"$root/denied"
  comment demo eu-west-1
  is "no right to comment: exit code" "$code" 0
  has "no right to comment: a warning" "$root/log" "::warning title=eks-bootstrap::the plan is not commented"
  comment demo eu-west-1 ""
  has "no pull request: a warning" "$root/log" "::warning title=eks-bootstrap::there is no pull request"
  is "no pull request: nothing is asked" "$(cat "$root/calls")" ""
else
  skip comments "jq is not installed"
fi

summary
