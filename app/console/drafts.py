"""Field definitions fetched while somebody writes a destination that is not connected yet. Kept only in this process."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.destinations.model import Account
    from app.mapping.catalog import Catalog

KEPT = 32


class Drafts:
    """The newest catalogs, by account and client. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, str], Catalog] = OrderedDict()

    def put(self, account: Account, catalog: Catalog) -> None:
        with self._lock:
            self._kept[account.key, account.client_tag] = catalog
            self._kept.move_to_end((account.key, account.client_tag))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def get(self, account: Account) -> Catalog | None:
        with self._lock:
            return self._kept.get((account.key, account.client_tag))
