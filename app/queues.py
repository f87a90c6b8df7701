"""The names of Celery's queues, and of the task that is a wake-up. Pure."""

from __future__ import annotations

ENQUEUE_QUEUE, DELIVERY_QUEUE, MAINTENANCE_QUEUE = QUEUES = ("activation", "delivery", "maintenance")
DELIVER_TASK = "activation.deliver"
