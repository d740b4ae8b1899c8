"""Graft: does merging a fine-tuned small model into a pre-trained large one beat fine-tuning the large one?"""

__version__ = "0.1.0"
