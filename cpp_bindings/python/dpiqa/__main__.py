"""`python -m dpiqa` is the command `dpiqa`."""

from dpiqa.cli import main

if __name__ == "__main__":
    main()
