# Completion of `pixmend` and `run_pipeline.sh` for bash and zsh, printed by `pixmend completion`.
[ -n "${ZSH_VERSION:-}" ] && { autoload -U +X compinit && compinit -u; autoload -U +X bashcompinit && bashcompinit; }

# Prints the runs of the competition. compgen expands words, so only names that a run can have are given to it.
_pixmend_runs() {
    command ls "$home/checkpoints/$competition${damage:++$damage}" 2> /dev/null | command grep -xE $'[[:alnum:]_.+=\x40-]+'
}

# Completes the flag or the value at the cursor of the command $1.
_pixmend_flags() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} flags='' found='' prefix='' competition=demo damage='' home=${PIXMEND_HOME:-.} i
    case $1 in
@FLAGS@
    esac
    [ "$current" = = ] && current=''
    [ "$before" = = ] && before=${COMP_WORDS[COMP_CWORD-2]}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --competition) competition=${COMP_WORDS[i+1]}; [ "$competition" = = ] && competition=${COMP_WORDS[i+2]} ;;
        --damage) damage=${COMP_WORDS[i+1]}; [ "$damage" = = ] && damage=${COMP_WORDS[i+2]} ;;
        --home) home=${COMP_WORDS[i+1]}; [ "$home" = = ] && home=${COMP_WORDS[i+2]} ;;
        esac
    done
    case $before in
    @SWITCHES@) found=$flags ;;
@VALUES@
    --run | --init-from | --mask-run) found=$(_pixmend_runs) ;;
    --members) [[ $current == *,* ]] && prefix=${current%,*},
               found=$(_pixmend_runs) ;;
    *) [[ $current == -* || $before != --* ]] && found=$flags ;;
    esac
    COMPREPLY=($(compgen -P "$prefix" -W "$found" -- "${current#"$prefix"}"))
}

_pixmend() {
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W '@COMMANDS@' -- "${COMP_WORDS[1]}"))
    elif [ "$COMP_CWORD" = 2 ] && [ "${COMP_WORDS[1]}" = study ]; then
        COMPREPLY=($(compgen -W '@STUDIES@' -- "${COMP_WORDS[2]}"))
    else
        _pixmend_flags "${COMP_WORDS[1]}"
    fi
}

_pixmend_pipeline() { _pixmend_flags configure; }

complete -o default -F _pixmend pixmend
complete -o default -F _pixmend_pipeline run_pipeline.sh ./run_pipeline.sh
