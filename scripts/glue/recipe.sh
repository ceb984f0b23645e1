# Sourced by scripts/recipe.sh: what is of GLUE alone.
#
#   BERT          folder of the pretrained model, made by `intra-distill bert` (default: data/glue/bert,
#                 which prepare.sh makes)
#   BERT_SOURCE   folder of Hugging Face's files that prepare.sh makes it from, or their address
#                 (default: bert-base-uncased, which is downloaded)

# shellcheck shell=bash disable=SC2154,SC2034
own_variables=(BERT)
[[ -z ${BERT:-} ]] || BERT=$(absolute "$BERT")
bert=${BERT:-$all_data/bert}

starting_point() {
    local sizes
    [[ -e $bert/model.pt ]] ||
        refuse "there is no pretrained model in $bert: run scripts/glue/prepare.sh, or set BERT to a" \
            "folder that intra-distill bert made"
    sizes=$(intra-distill args "$bert/model.yaml") # they replace those of the configuration
    words start "$sizes"
    start+=(--finetune-from-model "$bert/model.pt")
}

columns_of() {
    case $1 in
    mnli) echo mnli-m,mnli-mm ;; # matched and mismatched
    *) echo "$1" ;;
    esac
}
