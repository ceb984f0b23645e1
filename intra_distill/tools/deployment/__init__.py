"""Trained models at work: raw text translated, and models exported to other programs."""
