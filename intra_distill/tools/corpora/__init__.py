"""Raw text of the corpora that models are trained on."""
