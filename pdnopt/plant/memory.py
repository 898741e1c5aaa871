"""Answers that are kept for the next question of the same content."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

__all__ = ["Memory"]

Answer = TypeVar("Answer")


class Memory:
    """Keeps up to ``most`` answers; beyond that it forgets all and starts again.

    A key must hold everything that its answer depends on, by content. Nobody may change an answer: it is handed out
    again. A copy, and what another process gets, is empty.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._answers: dict[Hashable, Any] = {}

    def find(self, key: Hashable) -> Any:
        """Return the answer kept under ``key``, None without one."""
        return self._answers.get(key)

    def keep(self, key: Hashable, answer: Any) -> None:
        """Keep an answer, which is not None."""
        if len(self._answers) >= self.most:
            self._answers.clear()
        self._answers[key] = answer

    def recall(self, key: Hashable, make: Callable[[], Answer]) -> Answer:
        """Return the answer kept under ``key``, made now if there is none."""
        answer: Answer | None = self._answers.get(key)
        if answer is None:
            answer = make()
            self.keep(key, answer)
        return answer

    def __len__(self) -> int:
        return len(self._answers)

    def __reduce__(self) -> tuple[Any, ...]:
        return Memory, (self.most,)
