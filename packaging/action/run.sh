#!/bin/sh
# Runs the program for action.yml, and says in outputs how it went. Its own exit code is 0 once the program has run: the
# comment comes first, and the last step of the action fails with the program's code.
#
# What the program prints holds names from AWS and the cluster, so it is untrusted. In the log it stands where the runner
# obeys no commands, and in the summary it stands in a fence (fence.sh).

set -eu

here=$(dirname "$0")
folder=$RUNNER_TEMP/eks-bootstrap
program=$folder/bin/eks-bootstrap
out=$folder/output.txt
errors=$folder/errors.txt

case $INPUT_COMMAND in
  plan) set -- plan --detailed-exitcode ;;
  apply) set -- apply --yes ;;
  *)
    echo "error: the input \`command\` is neither plan nor apply" >&2
    exit 64
    ;;
esac
# With =, so that no value is taken for a flag.
[ -z "$INPUT_CLUSTER" ] || set -- "$@" "--cluster=$INPUT_CLUSTER"
[ -z "$INPUT_REGION" ] || set -- "$@" "--region=$INPUT_REGION"
while IFS= read -r line; do
  [ -z "$line" ] || set -- "$@" "--file=$line"
done <<END
$INPUT_FILE
END
while IFS= read -r line; do
  [ -z "$line" ] || set -- "$@" "$line"
done <<END
$INPUT_ARGS
END

EKS_BOOTSTRAP_COLOR=never
export EKS_BOOTSTRAP_COLOR

# The runner stops a step with SIGINT to this shell alone, SIGTERM after 7.5 s and SIGKILL after 10 s. The program gets SIGTERM
# at once: it then ends in time and says what is done and what remains.
child=
trap '[ -z "$child" ] || kill -TERM "$child" 2>/dev/null' INT TERM HUP
# Waits for $child, again after each signal; its exit code is in $code.
finish() {
  while :; do
    code=0
    wait "$child" || code=$?
    kill -0 "$child" 2>/dev/null || return 0
  done
}

secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '::stop-commands::%s\n' "$secret"
if [ "$INPUT_COMMAND" = plan ]; then
  # A plan takes seconds. Its result is kept apart from progress and warnings: it is what the comment shows.
  "$program" "$@" >"$out" 2>"$errors" </dev/null &
  child=$!
  finish
  cat "$errors" "$out"
  case $code in
    0 | 2) ;;
    *) cat "$errors" >>"$out" ;;
  esac
else
  # Minutes, so what happens is shown while it happens.
  rm -f "$folder/pipe"
  mkfifo "$folder/pipe"
  tee "$out" <"$folder/pipe" &
  tee=$!
  "$program" "$@" >"$folder/pipe" 2>&1 </dev/null &
  child=$!
  finish
  wait "$tee"
fi
printf '\n::%s::\n' "$secret"

changes=false
if [ "$INPUT_COMMAND" = plan ] && [ "$code" -eq 2 ]; then
  changes=true
fi
{
  echo "exit-code=$code"
  echo "changes=$changes"
  echo "output-file=$out"
  echo "program=$program"
} >>"$GITHUB_OUTPUT"

# Its path is given only where there is one line of it, since it becomes a line of the outputs.
case $INPUT_SARIF_FILE in
  '' | *'
'*) ;;
  *)
    if [ -f "$INPUT_SARIF_FILE" ]; then
      case $INPUT_SARIF_FILE in
        /*) echo "sarif-file=$INPUT_SARIF_FILE" ;;
        *) echo "sarif-file=$PWD/$INPUT_SARIF_FILE" ;;
      esac >>"$GITHUB_OUTPUT"
    fi
    ;;
esac

{
  printf '### eks-bootstrap %s: exit code %s\n\n' "$INPUT_COMMAND" "$code"
  sh "$here/fence.sh" 900000 <"$out"
} >>"$GITHUB_STEP_SUMMARY"
