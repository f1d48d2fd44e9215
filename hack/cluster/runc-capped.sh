#!/bin/sh
# runc-capped.sh ARGS...: runc on a machine that lacks CAP_SYS_RESOURCE.
# There runc cannot give that capability to a privileged container ("unable to apply caps") nor
# lower an OOM score. This wrapper takes both out of what runc is asked for; nothing else changes.
without_capability='(.process.capabilities[]?) |= map(select(. != "CAP_SYS_RESOURCE"))
  | if (.process.oomScoreAdj // 0) < 0 then .process.oomScoreAdj = 0 else . end'
exec_without_capability='(.capabilities[]?) |= map(select(. != "CAP_SYS_RESOURCE"))
  | if (.oomScoreAdj // 0) < 0 then .oomScoreAdj = 0 else . end'

edit() { # edit FILE FILTER
  [ -f "$1" ] || return 0
  jq -c "$2" "$1" >"$1.new" && mv "$1.new" "$1"
}

previous=""
for argument in "$@"; do
  case "$argument" in
    --bundle=*) edit "${argument#*=}/config.json" "$without_capability" ;;
    --process=*) edit "${argument#*=}" "$exec_without_capability" ;;
  esac
  case "$previous" in
    --bundle | -b) edit "$argument/config.json" "$without_capability" ;;
    --process | -p) edit "$argument" "$exec_without_capability" ;;
  esac
  previous=$argument
done
exec runc "$@"
