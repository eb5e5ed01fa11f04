"""`python -m udockpy`."""

from udockpy.cli import main

if __name__ == "__main__":
    main()
