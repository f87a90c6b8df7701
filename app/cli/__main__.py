"""`python -m app.cli` is `activation`."""

from app.cli import main

main()
