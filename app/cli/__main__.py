"""Makes `python -m app.cli` the same as `activation`."""

from app.cli import main

main()
