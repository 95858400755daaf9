#!/usr/bin/env bash
# From nothing to a checked submission: the demo without flags, `--competition photo_reconstruction` for the real competition.
set -euo pipefail
folder=$PWD
cd "$(dirname "$(readlink -f "$0")")"
source ./set_up.sh base
cd "$folder"   # relative paths in flags are those of the folder where it was called
case " $* " in *" --help "* | *" -h "*) exec pixmend configure --help ;; esac

run=$(pixmend configure "$@")                   # every setting of the run, written once into its run.toml
pixmend download  --config "$run"               # the competition's archive, checked and unpacked
pixmend augment   --config "$run"               # images decoded once, a holdout by source, five transforms of the rest
pixmend train     --config "$run"               # the network; a stopped training continues
pixmend predict   --config "$run"               # the missing pixels of holdout and test images
pixmend serialize --config "$run"               # the CSV, checked against the sample submission
pixmend score     --config "$run"               # the holdout's RMSE, beside the baselines
pixmend submit    --config "$run" --if-asked || refused=$?   # with --submit: to Kaggle, never the same file twice
pixmend report    --config "$run"               # one page of all runs, and what to do next
exit "${refused:-0}"
