# Sourced by the recipe.sh of a recipe that fine-tunes a pretrained model, after encoder=bert or
# encoder=xlmr: where the model is, how it is made, and how a training starts from it.
#
#   BERT, XLMR                 folder of the pretrained model, made by `intra-distill bert` or
#                              `intra-distill xlmr` (default: data/RECIPE/bert or data/RECIPE/xlmr,
#                              which prepare.sh makes)
#   BERT_SOURCE, XLMR_SOURCE   what prepare.sh makes it from instead of a download: the command's
#                              --source

# shellcheck shell=bash disable=SC2154,SC2034
variable=${encoder^^}
own_variables=("$variable")
[[ -z ${!variable:-} ]] || printf -v "$variable" %s "$(absolute "${!variable}")"
pretrained=${!variable:-$all_data/$encoder}

# make_pretrained [OPTION…]: makes the pretrained model, unless the user has named one that is made.
# The options say what to download.
make_pretrained() {
    local source=${variable}_SOURCE options=("$@")
    [[ -z ${!source:-} ]] || options=(--source "${!source}")
    [[ -n ${!variable:-} ]] || intra-distill "$encoder" --destdir "$pretrained" "${options[@]}"
}

starting_point() {
    local sizes
    [[ -e $pretrained/model.pt ]] ||
        refuse "there is no pretrained model in $pretrained: run scripts/$recipe/prepare.sh, or set" \
            "$variable to a folder that intra-distill $encoder made"
    sizes=$(intra-distill args "$pretrained/model.yaml") # they replace those of the configuration
    words start "$sizes"
    start+=(--finetune-from-model "$pretrained/model.pt")
}
