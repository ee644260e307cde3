"""`python -m revline`: the same as the command `revline`."""

from revline.app import main

if __name__ == "__main__":
    main()
