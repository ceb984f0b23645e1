"""The models that fairseq registers. They import core, and no tools."""
