"""GLUE (Wang et al., 2019): its tasks, where their files are, and what they hold."""
