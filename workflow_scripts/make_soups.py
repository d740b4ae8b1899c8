"""Make and evaluate what is made of fine-tunings of one task and several seeds: soups and ensembles."""

from graft.study import program

if __name__ == "__main__":
    program.run_job("make_soups", __doc__)
