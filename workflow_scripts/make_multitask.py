"""Merge one seed's fine-tunings of several tasks, and evaluate the result on each."""

from graft.study import program

if __name__ == "__main__":
    program.run_job("make_multitask", __doc__)
