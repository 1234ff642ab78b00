"""The documents say what is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from limner.params import GenerationParams
from limner.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "training").glob("*.md")]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_setting_is_documented(name: str) -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    assert f"`--{name.replace('_', '-')}`" in text
    assert f"`LIMNER_{name.upper()}`" in text


@pytest.mark.parametrize("name", GenerationParams.model_fields)
def test_parameter_is_documented(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "api.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}, which is not there"
