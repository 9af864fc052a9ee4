# The words every snippet may use, beside what the node has. docs/writing-checks.md tells of each.

# fail MESSAGE: ends the check, red, and says why.
fail() { printf '%s\n' "${*//$'\n'/ | }" >&2; exit 1; }

# same WHAT ACTUAL EXPECTED: fails unless both are the same.
same() { [[ $2 == "$3" ]] || fail "$1 is '$2', expected '$3'"; }

# pause SECONDS: waits, without a process.
pause() { read -rt "$1" -u "$quiet" || true; }

# eventually SECONDS COMMAND...: repeats the command until it succeeds, for so long on a fast host; else returns 1.
eventually() {
  local end=$((SECONDS + $1 * SLOWNESS))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    pause 0.3
  done
}

# host_time: prints the time of the machine the tests are run from, in seconds since 1970.
host_time() {
  local up
  read -r up _ </proc/uptime
  echo $((HOST_TIME + ${up%.*} - BEGUN))
}

# prompt MODE [WORDS... ARGS...]: beside an appliance, runs `ai-how prompt MODE` for a machine like its own, and says why it
# failed. WORDS that begin with `zosia.` are for its kernel. The file `append` may hold more of them, and `model` be its model.
prompt() {
  local mode=$1 model=$NODE_MODEL append=$NODE_APPEND args=() word event status
  local reason='"reason":"(([^"\\]|\\.)+)"'
  for word in "${@:2}"; do
    if [[ $word == zosia.* ]]; then append+=" $word"; else args+=("$word"); fi
  done
  [[ ! -e append ]] || append+=" $(<append)"
  [[ ! -e model ]] || model=$PWD/model
  rm -f "$AI_HOW_RUNS/latest"
  "$AI_HOW" prompt "$mode" ${model:+"$model"} --lab "$PLACE" --arch "$NODE_ARCH" --cpus "$NODE_CPUS" \
    --memory-mib "$NODE_MEMORY_MIB" --append "$append" "${args[@]}" && return
  status=$?
  # What the machine did not say stands in the middle of what was told, and alone in the record.
  event=$(grep -h '"event":"check-finished"' "$AI_HOW_RUNS/latest/events.jsonl" 2>/dev/null | tail -n 1) || true
  [[ ! $event =~ $reason ]] || fail "${BASH_REMATCH[1]//\\/}"
  return "$status"
}

# ask [-n WORDS] SECONDS TEXT: types a line on an appliance's console, and prints what it answers within that time on a fast
# host. Who has said so many WORDS need not say more.
ask() {
  local words=0
  if [[ $1 == -n ]]; then words=$2 && shift 2; fi
  "$AI_HOW" lab-ask -- "$CONSOLE" "$CONSOLE_LOG" $(($1 * SLOWNESS)) "$words" "${*:2}"
}

# minutes LIMIT: prints a time limit in SLURM's notation as minutes, or as `unlimited`.
minutes() {
  local text=${1,,} days=0 parts
  case $text in infinite | unlimited) echo unlimited; return ;; esac
  [[ $text != *-* ]] || days=${text%%-*} text=${text#*-}
  IFS=: read -ra parts <<<"$text"
  if [[ $1 == *-* ]]; then parts=("${parts[@]}" 0 0); # D-HH[:MM[:SS]]
  elif ((${#parts[@]} < 3)); then parts=(0 "${parts[@]}"); fi # MM[:SS]
  echo $((days * 1440 + 10#${parts[0]} * 60 + 10#${parts[1]}))
}

# slurm_setting NAME: prints what slurmctld uses for a setting of slurm.conf or cgroup.conf.
slurm_setting() {
  local name value
  while IFS='=' read -r name value; do
    [[ ${name%%+([[:space:]])} != "$1" ]] || { echo ${value%% }; return; }
  done < <(scontrol show config)
  fail "slurmctld tells nothing of $1"
}

# slurmctld_answers, cluster_ready, node_ready NODE, node_idle NODE: for `eventually`.
slurmctld_answers() { [[ $(scontrol ping 2>&1) == *"is UP"* ]]; }
cluster_ready() { ! sinfo -h -N -n "${COMPUTE_NODES// /,}" -o %T 2>&1 | grep -vqE '^(idle|mixed|allocated)$'; }
node_ready() { [[ $(sinfo -h -N -n "$1" -o %T | sort -u) =~ ^(idle|mixed|allocated)$ ]]; }
node_idle() { [[ $(sinfo -h -N -n "$1" -o %T | sort -u) == idle ]]; }

# on_node NODE COMMAND...: runs a command on a compute node, as a job in a partition that has the node.
on_node() {
  local partition
  for partition in $PARTITIONS; do
    [[ " ${PARTITION_NODES[$partition]} " != *" $1 "* ]] || break
  done
  srun --quiet -J ai-how -p "$partition" -w "$1" "${@:2}"
}

# submit OPTIONS...: sbatch in /tmp without output; prints the job's id.
submit() { sbatch --parsable -J ai-how -D /tmp -o /dev/null "$@"; }

# job_field ID FIELD: prints a field of `scontrol show job`, a line for each task of an array.
job_field() {
  local line
  while read -r line; do
    [[ " $line " =~ " $2="([^ ]*) ]] && printf '%s\n' "${BASH_REMATCH[1]}"
  done < <(scontrol -o show job "$1")
}

# job_is ID PATTERN: whether all of the job has this state, as in `COMPLETED` or `TIMEOUT|FAILED`.
job_is() {
  local states state
  states=$(job_field "$1" JobState)
  [[ -n $states ]] || return 1
  for state in $states; do [[ $state =~ ^($2)$ ]] || return 1; done
}

# job_ended ID: whether none of the job waits or runs.
job_ended() { [[ $(job_field "$1" JobState) != *@(PENDING|CONFIGURING|RUNNING|COMPLETING|SUSPENDED)* ]]; }

# job_waits ID PATTERN: whether the job waits, with this reason.
job_waits() { job_is "$1" PENDING && [[ $(job_field "$1" Reason) =~ ^($2)$ ]]; }

# job_gets ID PATTERN SECONDS: fails unless the job gets this state within that time.
job_gets() { eventually "$3" job_is "$1" "$2" || fail "job $1 is" $(job_field "$1" JobState) "but should be $2"; }

# job_ends ID SECONDS: fails unless the job ends, in whatever way, within that time.
job_ends() { eventually "$2" job_ended "$1" || fail "job $1 does not end: it is" $(job_field "$1" JobState); }
