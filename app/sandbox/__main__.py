"""`python -m app.sandbox --port P [--host H] [--seed-attributes N]`: serve until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse

from app.sandbox.server import serve


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m app.sandbox", description="A local Marketing Cloud.")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 (the default) takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    parser.add_argument("--seed-attributes", type=int, default=0, metavar="N", help="add N Text attributes")
    options = parser.parse_args()
    serve(options.host, options.port, seed_attributes=options.seed_attributes)


if __name__ == "__main__":
    main()
