"""Celery's settings, each with the reason why it is not the default."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from kombu.entity import Exchange, Queue

from app.broker import broker_settings
from app.queues import DELIVER_TASK, DELIVERY_QUEUE, ENQUEUE_QUEUE, MAINTENANCE_QUEUE, QUEUES
from app.settings import Settings


def celery_config(settings: Settings) -> dict[str, Any]:
    return {
        **broker_settings(settings.celery_broker_url),
        # wait for the broker however long it is away
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # without this a publisher may block forever on an exhausted pool
        "broker_pool_acquire_timeout": 10,
        # nobody reads results: jobs and runs say what became of profiles
        "task_ignore_result": True,
        # acknowledge when the task ends, not when it is received; running it twice is harmless
        "task_acks_late": True,
        "task_retry_on_worker_lost": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # a prefetched wake-up would wait behind a slow lane while its own lane stands still
        "worker_prefetch_multiplier": 1,
        # a misspelt queue name is an error, not a new queue that nobody reads
        "task_create_missing_queues": False,
        # each has its own exchange and routing key: by default all three would share those of the default queue
        "task_queues": [_queue(name) for name in QUEUES],
        "task_default_queue": MAINTENANCE_QUEUE,
        "task_routes": {
            "activation.enqueue": {"queue": ENQUEUE_QUEUE},
            DELIVER_TASK: {"queue": DELIVERY_QUEUE},
            "alerts.*": {"queue": MAINTENANCE_QUEUE},
            "attributes.*": {"queue": MAINTENANCE_QUEUE},
            "maintenance.*": {"queue": MAINTENANCE_QUEUE},
        },
        # ceilings for each worker; the account's rate is kept by the shared limiter
        "task_annotations": {
            DELIVER_TASK: {"rate_limit": settings.deliver_rate_limit or None},
            "activation.enqueue": {"rate_limit": settings.enqueue_rate_limit or None},
            "attributes.refresh": {"rate_limit": settings.refresh_rate_limit or None},
        },
        "worker_consumer": "tasks.consumer:Consumer",  # makes these ceilings hold: celery#5927
        # threads: a lane mostly waits for the network, so one process holds many lanes (docs/decisions/0003)
        "worker_pool": "threads",
        "worker_concurrency": settings.worker_concurrency,
        # events cost two fifths of a worker's throughput; Flower turns on the ones it needs
        "worker_send_task_events": False,
        "task_send_sent_event": False,
        "worker_hijack_root_logger": True,
        "worker_redirect_stdouts": False,
        "accept_content": ["json"],
        "task_serializer": "json",
        "enable_utc": True,
        "beat_schedule": {
            "refresh-attributes": {
                "task": "attributes.refresh",
                "schedule": timedelta(seconds=min(30.0, settings.catalog_refresh_seconds)),
            },
            "sweep": {
                "task": "maintenance.sweep",
                "schedule": timedelta(seconds=settings.sweep_seconds),
            },
        },
        # instead of `expires`, which compares beat's clock with a worker's
        "beat_scheduler": "tasks.schedule:Scheduler",
        "beat_schedule_filename": str(settings.home / "celerybeat-schedule"),
        "beat_max_loop_interval": min(5.0, settings.sweep_seconds),
    }


def _queue(name: str) -> Queue:
    return Queue(name, Exchange(name), routing_key=name)  # type: ignore[no-untyped-call]
