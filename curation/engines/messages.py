"""How a question becomes a conversation, the same for every engine.

System first, then the exemplars, byte-identical for all questions of a task, then the photo asked
about, the question last: all questions about a photo share the longest prefix that a prefix cache
can keep. Must not know of any engine's own format.
"""

from __future__ import annotations

from dataclasses import dataclass

from curation.prompts import Exemplar, Question


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `photo` is an index into the exemplars' photos followed by the one asked about.

    A photo stands before the text of its turn.
    """

    role: str
    text: str
    photo: int | None = None


def conversation(question: Question, *, photos_of_exemplars: bool = True) -> list[Turn]:
    """The turns of a question, in order.

    Args:
        question: what is asked.
        photos_of_exemplars: False for a model that takes one photo only: its exemplars are told
            in the system message, as text, and the one photo has the index 0.

    Returns:
        A system turn, per exemplar a user and an assistant turn, a user turn with the photo asked
        about, and for a question with an `answer_start` an assistant turn that is to be continued.
    """
    shots = question.exemplars if photos_of_exemplars else ()
    turns = [Turn("system", system_text(question, told=() if shots else question.exemplars))]
    for number, shot in enumerate(shots):
        turns += [Turn("user", shot.question, number), Turn("assistant", shot.answer)]
    turns.append(Turn("user", question.text, len(shots)))
    if question.answer_start:
        turns.append(Turn("assistant", question.answer_start))
    return turns


def plain_prompt(question: Question) -> str:
    """The question as one text, for models without a chat template, which take one photo."""
    told = f"{system_text(question, told=question.exemplars)} {question.text}"
    return f"{told} {question.answer_start}".rstrip()


def system_text(question: Question, told: tuple[Exemplar, ...] = ()) -> str:
    """The system message, with exemplars told as text after it."""
    lines = [f"Question: {shot.question}\nAnswer: {shot.answer}" for shot in told]
    if not lines:
        return question.system
    return "\n\n".join([question.system, "Answers about other photos:", *lines])
