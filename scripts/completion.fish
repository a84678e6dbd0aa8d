# Fish completion of olympus:  olympus completion fish | source
complete -c olympus -f -a '(olympus complete (commandline -opc)[2..] (commandline -ct))'
