"""``python -m vsf_edge`` is the command ``vsf-edge``."""

from vsf_edge.cli import main

if __name__ == "__main__":
    main()
