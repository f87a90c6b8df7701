"""The console: pages for operators and a JSON API, both thin layers over the functions that the commands use."""
