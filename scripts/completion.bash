# Bash completion of olympus:  source <(olympus completion bash)
_olympus() {
  local line=${COMP_LINE:0:COMP_POINT} last
  local -a words
  read -ra words <<<"$line"
  # What follows a space is a new word.
  [[ $line == *[[:space:]] ]] && words+=("")
  last=${words[${#words[@]}-1]}
  mapfile -t COMPREPLY < <("${words[0]}" complete "${words[@]:1}")
  # Bash takes a colon for the end of a word, and puts in only what comes after it.
  if [[ $last == *:* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${last%"${last##*:}"}"}")
  fi
}
complete -F _olympus olympus
