"""Names that stand for no file that can be read are wrong usage, whatever the system says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import UsageError
from app.files.columns_file import read_columns
from app.files.reading import Files


@pytest.mark.parametrize("name", ["x" * 300, f"{'x' * 300}/profiles"])
def test_a_name_that_is_too_long(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be read: File name too long"):
        Files([name], lambda: pytest.fail("not asked for"))


def test_columns_with_a_date_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "columns.yaml").write_text("a: 2026-13-45\n")
    with pytest.raises(UsageError, match="is not valid YAML"):
        read_columns(str(tmp_path / "columns.yaml"))
