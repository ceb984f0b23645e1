#!/usr/bin/env bash
# Data of GLUE: converts one task to a data directory in the vocabulary of BERT, and makes the
# pretrained model where it is missing.
#
#   DATASET=rte bash scripts/glue/prepare.sh [SOURCE]
#
# DATASET is cola, sst-2, mrpc, qqp, sts-b, mnli, qnli or rte. SOURCE is a folder with the archives of
# GLUE, packed or unpacked, or the address of a mirror. Without SOURCE they are downloaded.
# scripts/pretrained.sh lists the variables BERT and BERT_SOURCE.
recipe=glue
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

require_dataset
make_pretrained
# shellcheck disable=SC2154  # of scripts/pretrained.sh
make_data glue --task "$dataset" --bert "$pretrained" --downloads "$all_data/downloads" \
    ${1:+--source "$1"}
