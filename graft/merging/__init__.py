"""Merging a fine-tuned small encoder into a pre-trained large one. This package file imports no torch: `registry` and
`selection` are read by plans and by Snakemake itself."""
