"""Make and evaluate the systems of one task and seed that are made of finished models: sweeps, merges, controls."""

from graft.study import program

if __name__ == "__main__":
    program.run_job("make_systems", __doc__)
