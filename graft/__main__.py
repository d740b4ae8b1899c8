"""`python -m graft`: the command line (graft/cli/main.py)."""

from graft.cli.main import main

if __name__ == "__main__":
    main()
