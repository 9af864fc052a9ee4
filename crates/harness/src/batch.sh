# Runs one step after another, each in a shell of its own with its own time limit, and marks on both streams where its
# output begins and ends. Forks, but starts no program: on an emulated processor that is what costs.
mark() { printf '\n%s\n' "@ai-how $*"; printf '\n%s\n' "@ai-how $*" >&2; }

attempt() { # INDEX SECONDS SNIPPET
  local code begun=${EPOCHREALTIME/[.,]/}
  mark begin "$1"
  { (set -euo pipefail; eval "$3"); echo $? >&"$answer"; } </dev/null &
  if ! read -rt "$2" -u "$answer" code; then
    code=timeout
    # Its traps may clean up; then it must be gone.
    kill -TERM -- "-$!" 2>/dev/null
    for _ in {1..50}; do
      kill -0 -- "-$!" 2>/dev/null || break
      read -rt 0.1 -u "$quiet"
    done
    # It may have answered just now.
    read -rt 0.01 -u "$answer" _
  fi
  # Whatever the step left behind ends with it. What even this cannot end is not waited for.
  kill -KILL -- "-$!" 2>/dev/null
  [[ $code == timeout ]] || wait "$!" 2>/dev/null
  mark end "$1" "$code" $((${EPOCHREALTIME/[.,]/} - begun))
}

export LC_ALL=C
shopt -s extglob
read -r BEGUN _ </proc/uptime
BEGUN=${BEGUN%.*}
exec {answer}<> <(:) {quiet}<> <(:)
set -m
