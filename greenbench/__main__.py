"""``python -m greenbench`` is the command line."""

from greenbench.cli import main

if __name__ == "__main__":
    main()
