"""The tests of pages are skipped where there is no browser, but never in continuous integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import chromium


@pytest.fixture(autouse=True)
def _no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_without_a_browser_the_tests_of_pages_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(chromium.REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="CHROMIUM may name one"):
        chromium.need()


def test_in_continuous_integration_they_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(chromium.REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="no Chromium on this machine"):
        chromium.need()
    script = (Path(__file__).resolve().parents[1] / ".ci/run").read_text(encoding="utf-8")
    assert f"export {chromium.REQUIRED}=1" in script


def test_a_browser_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/opt/browser")
    chromium.need()
    assert chromium.find() == "/opt/browser"
