"""A local Marketing Cloud over real HTTP, for development, tests, the demo and benchmarks.

It imports nothing of the pipeline.
"""
