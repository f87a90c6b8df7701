"""Serves HTTP for the intake and the console, with connections that nobody can hold without using them."""
