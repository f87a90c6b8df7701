"""The Celery side: thin tasks over `app`, their schedule, and what a worker does when it starts and stops."""
