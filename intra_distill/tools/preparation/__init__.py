"""Raw text → the data directory that fairseq-train reads."""
