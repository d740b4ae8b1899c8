"""Fit and evaluate the probes of one task."""

from graft.study import program

if __name__ == "__main__":
    program.run_job("make_probes", __doc__)
