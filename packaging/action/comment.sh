#!/bin/sh
# Writes the plan as a comment on the pull request, or updates the one that an earlier run wrote; called by action.yml.
#
# The comment is found by a hidden line at its beginning, among those of INPUT_COMMENT_AUTHOR only: one of anybody else with
# the same line could be changed by its author afterwards. What cannot be commented (a pull request from a fork has a token
# that only reads) is a warning: the plan itself is in the log and in the summary.

set -eu

here=$(dirname "$0")
folder=$RUNNER_TEMP/eks-bootstrap
body=$folder/comment.md

warn() {
  printf '::warning title=eks-bootstrap::%s\n' "$1"
  exit 0
}

case $PULL_REQUEST in
  '' | *[!0-9]*) warn "there is no pull request to comment on" ;;
esac
command -v gh >/dev/null || warn "the plan is not commented: gh is not installed on this runner"

# One comment for each cluster and configuration file. A checksum of the inputs holds no text of theirs.
marker="<!-- eks-bootstrap plan $(
  printf '%s\0' "$INPUT_CLUSTER" "$INPUT_REGION" "$INPUT_FILE" "$INPUT_WORKING_DIRECTORY" | cksum | tr ' ' '-'
) -->"
# Only names that mean nothing in Markdown are shown.
shown=
case $INPUT_CLUSTER in
  '' | *[!0-9A-Za-z_-]*) ;;
  *) shown=" of cluster $INPUT_CLUSTER" ;;
esac
case $INPUT_REGION in
  '' | *[!0-9a-z-]*) ;;
  *) shown="$shown in $INPUT_REGION" ;;
esac
case $EXIT_CODE in
  0) verdict="No changes" open= ;;
  2) verdict="Changes are pending" open=' open' ;;
  77) verdict="The plan is incomplete: no credentials, or access denied (exit code 77)" open=' open' ;;
  *[!0-9]* | '') verdict="The plan failed" open=' open' ;;
  *) verdict="The plan failed (exit code $EXIT_CODE)" open=' open' ;;
esac
case $HEAD_SHA in
  '' | *[!0-9a-f]*) HEAD_SHA= ;;
esac
{
  printf '%s\n' "$marker"
  printf '### eks-bootstrap: plan%s\n\n**%s**\n\n' "$shown" "$verdict"
  printf '<details%s><summary>Plan</summary>\n\n' "$open"
  # A comment holds 65,536 characters.
  sh "$here/fence.sh" 60000 <"$OUTPUT_FILE"
  printf '\n</details>\n\n'
  printf '%s[run](%s/%s/actions/runs/%s)\n' "${HEAD_SHA:+$HEAD_SHA, }" "$GITHUB_SERVER_URL" "$GITHUB_REPOSITORY" "$GITHUB_RUN_ID"
} >"$body"

GH_HOST=${GITHUB_SERVER_URL#*://}
GH_TOKEN=$INPUT_TOKEN
GH_ENTERPRISE_TOKEN=$INPUT_TOKEN
export GH_HOST GH_TOKEN GH_ENTERPRISE_TOKEN

MARKER=$marker AUTHOR=$INPUT_COMMENT_AUTHOR gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments?per_page=100" \
  --jq '.[] | select(.user.login == env.AUTHOR and (.body | startswith(env.MARKER))) | .id' >"$folder/comments" ||
  warn "the plan is not commented: the comments of the pull request cannot be read with this token"
id=$(head -n 1 "$folder/comments")
case $id in
  '') gh api --silent --method POST "repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments" -F "body=@$body" ;;
  *[!0-9]*) warn "the plan is not commented: the answer about comments is not understood" ;;
  *) gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" -F "body=@$body" ;;
esac || warn "the plan is not commented: the token may not write to the pull request (permission \`pull-requests: write\`; none for forks)"
