"""Topics: nothing that a name holds may be read as a level or a wildcard."""

from __future__ import annotations

import pytest

from pdnopt.protocols.topics import Question, acl_text, answer_topic, ask_topic, is_name, question_of


def test_there_and_back() -> None:
    question = Question("node-17", "controller.a", "3f-12")
    assert ask_topic(question) == "pdnopt/station/node-17/ask/controller.a/3f-12"
    assert question_of(ask_topic(question)) == question
    assert question_of(answer_topic(question)) == question


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "pdnopt/station/n/ask/c",
        "pdnopt/station/n/ask/c/1/2",
        "pdnopt/station/n/tell/c/1",
        "other/station/n/ask/c/1",
        "pdnopt/station/n/ask//1",
        "pdnopt/station/n/ask/+/1",
        "pdnopt/station/n/ask/c/#",
        "pdnopt/station/n/ask/c/" + "9" * 65,
    ],
)
def test_what_is_no_question(topic: str) -> None:
    assert question_of(topic) is None


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "a b", "ä", "x" * 65, 5, None, "a\n"])
def test_what_is_no_name(name: object) -> None:
    assert not is_name(name)


def test_access_list_gives_a_reader_no_heartbeat() -> None:
    text = acl_text(["lead"], ["screen"])
    assert "topic write pdnopt/beat/lead" in text
    assert "pdnopt/beat/screen" not in text
    assert "topic write pdnopt/station/+/ask/screen/+" in text
