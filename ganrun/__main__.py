"""``python -m ganrun``, for launchers such as torchrun that start modules."""

from ganrun.cli import main

if __name__ == "__main__":
    main()
