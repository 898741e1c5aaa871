"""``python -m pdnopt``: the command line."""

from pdnopt.cli import main

if __name__ == "__main__":
    main()
