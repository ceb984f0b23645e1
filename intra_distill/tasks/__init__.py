"""The tasks that fairseq registers, and their mixins. They import core, and no tools."""
