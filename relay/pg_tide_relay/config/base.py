"""What all configuration models have in common."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pg_tide_relay.config.relations import Relation, holds, values_needed

NonEmpty = Annotated[str, Field(min_length=1)]


class ConfigModel(BaseModel):
    """Frozen, strict, complete: no unknown key, no "100" for 100, no value in an error's text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    RELATIONS: ClassVar[tuple[Relation, ...]] = ()
    NOT_YET: ClassVar[tuple[str, ...]] = ()  # keys that are refused by name

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers_are_ints(cls, config: Any) -> Any:
        """JSON has one kind of number: 100.0 and 1e2 are 100."""
        return _with_ints(config)

    @model_validator(mode="after")
    def _relations_hold(self) -> Self:
        values = self.model_dump()
        broken = [
            f"{relation.at}: {relation.message}"
            for relation in self.RELATIONS
            if relation.severity == "error" and holds(relation, values_needed(relation, values))
        ]
        if broken:
            raise ValueError("; ".join(broken))
        return self


def _with_ints(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _with_ints(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_ints(item) for item in value]
    return value
