"""The console: pages for operators, and the JSON API beside them. Thin over the same functions as the commands."""
