# Completion of this project's commands for bash and zsh, printed by `python -m pixmend completion`.
[ -n "${ZSH_VERSION:-}" ] && { autoload -U +X compinit && compinit -u; autoload -U +X bashcompinit && bashcompinit; }

# What may follow on the command line in COMP_WORDS; nothing where a file or a free value is wanted.
_photo_reconstruction() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} found='' kept='' contest=demo damage='' place home=. i
    local flags='@FLAGS@'
    [ "$current" = = ] && current=''
    [ "$before" = = ] && before=${COMP_WORDS[COMP_CWORD-2]}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --competition) contest=${COMP_WORDS[i+1]}; [ "$contest" = = ] && contest=${COMP_WORDS[i+2]} ;;
        --damage) damage=${COMP_WORDS[i+1]}; [ "$damage" = = ] && damage=${COMP_WORDS[i+2]} ;;
        --home) home=${COMP_WORDS[i+1]}; [ "$home" = = ] && home=${COMP_WORDS[i+2]} ;;
        esac
    done
    place=$contest${damage:++$damage}
    case $before in
    @SWITCHES@) found=$flags ;;
@VALUES@
    --run | --init-from | --mask-run) found=$(command ls "$home/checkpoints/$place" 2> /dev/null) ;;
    --members) [[ $current == *,* ]] && kept=${current%,*},
               found=$(command ls "$home/checkpoints/$place" 2> /dev/null) ;;
    *) [[ $current == -* || $before != --* ]] && found=$flags ;;
    esac
    COMPREPLY=($(compgen -P "$kept" -W "$found" -- "${current#"$kept"}"))
}

# `python -m pixmend STAGE [flags]` in this project; any other Python command is completed as it was before.
_photo_reconstruction_python() {
    if [[ ${COMP_WORDS[1]} != -m || ${COMP_WORDS[2]} != src || $COMP_CWORD -lt 3 || ! -f src/stages/augment.py ]]; then
        [ -n "$_photo_reconstruction_before" ] && "$_photo_reconstruction_before" "$@"
    elif [ "$COMP_CWORD" = 3 ]; then
        COMPREPLY=($(compgen -W '@STAGES@' -- "${COMP_WORDS[3]}"))
    elif [ "$COMP_CWORD" = 4 ] && [ "${COMP_WORDS[3]}" = study ]; then
        COMPREPLY=($(compgen -W '@STUDIES@' -- "${COMP_WORDS[4]}"))
    else
        _photo_reconstruction
    fi
}

_photo_reconstruction_before=$(complete -p python 2> /dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
[ "$_photo_reconstruction_before" = _photo_reconstruction_python ] && _photo_reconstruction_before=''
complete -o default -F _photo_reconstruction_python python python3
complete -o default -F _photo_reconstruction run_pipeline.sh ./run_pipeline.sh
