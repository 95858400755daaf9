#!/usr/bin/env bash
# From nothing to a checked submission: the demo without flags, `--competition photo_reconstruction` for the real competition.
set -euo pipefail
cd "$(dirname "$0")"
case " $* " in *" --help "* | *" -h "*)   # once, and not by every stage; what is installed already is not looked at again
    .venv/bin/python -m pixmend --help 2> /dev/null || { source ./set_up.sh base; python -m pixmend --help; }
    exit ;;
esac
source ./set_up.sh base

python -m pixmend download  "$@"   # the competition's archive, checked and unpacked
python -m pixmend augment   "$@"   # pictures decoded once, a holdout kept apart, five variants of the rest
python -m pixmend train     "$@"   # the network; a stopped run goes on where it stood
python -m pixmend predict   "$@"   # the missing pixels of holdout and test
python -m pixmend serialize "$@"   # the CSV, checked against sample_submission.csv
python -m pixmend score     "$@"   # the holdout's RMSE from the file, beside the fills
case " $* " in *" --submit "*) python -m pixmend submit "$@" || refused=$? ;; esac   # only where asked for
python -m pixmend report    "$@"   # one page of all runs, and what to do next
exit "${refused:-0}"
