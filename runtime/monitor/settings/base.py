"""What every part of the settings is made from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A part of a configuration: unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
