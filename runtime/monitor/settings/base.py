"""Base class of all settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A section of the settings: immutable, unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
