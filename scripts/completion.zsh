#compdef olympus
# Zsh completion of olympus:  source <(olympus completion zsh)
_olympus() {
  local -a candidates
  candidates=(${(f)"$(${words[1]} complete "${(@)words[2,CURRENT]}")"})
  compadd -a candidates
}
compdef _olympus olympus
