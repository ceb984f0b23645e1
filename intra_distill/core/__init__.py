"""The equations of the paper and of the methods it compares with. core imports torch alone."""
