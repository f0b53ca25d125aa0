"""Hygiene: what is wrong with a text whatever photo it is about.

Pure functions from text to findings, each with its name, place and matching part, so that it can
be shown to whoever asks why. Nothing is removed or judged here. What many texts have in common
(openers) and what was asked (prompts) come in as a `Context`; must not know the corpus, the photo
or what a policy does with a finding.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import eq

from curation.language import LANGUAGES, language_of
from uniqa.errors import InputError

REASONS = (
    "empty", "refusal", "prompt_leak", "loop", "cut_off", "language", "opener", "markup", "url",
    "email", "handle", "signature", "garbled",
)  # fmt: skip
"""Every name that a finding can have."""

_WORD = re.compile(r"\w+(?:['’]\w+)*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: `text[start:end]` is `part`; `detail` says more where needed."""

    name: str
    start: int
    end: int
    part: str
    detail: str = ""


class Prompts:
    """What models were asked, made ready for recognition in their answers.

    A run of eight words, or all of a sentence of four to seven, is taken for a repetition: fewer
    words are also said by somebody who merely answers.
    """

    _RUN, _LEAST = 8, 4

    def __init__(self, prompts: Iterable[str] = ()) -> None:
        """Take system texts, questions or whole rendered prompts."""
        self._runs: dict[int, set[tuple[str, ...]]] = {}
        for prompt in prompts:
            for sentence in re.split(r"[.!?:\n]+", prompt):
                words = _words(sentence)
                if self._LEAST <= len(words) < self._RUN:
                    self._runs.setdefault(len(words), set()).add(tuple(words))
            words = _words(prompt)
            for place in range(len(words) - self._RUN + 1):
                self._runs.setdefault(self._RUN, set()).add(tuple(words[place : place + self._RUN]))

    def repeated(self, words: Sequence[str]) -> tuple[int, int] | None:
        """First and last place of the longest stretch that was asked, or None."""
        longest: tuple[int, int] | None = None
        for length, runs in self._runs.items():
            start = end = -1
            for place in range(len(words) - length + 1):
                if tuple(words[place : place + length]) not in runs:
                    continue
                start = place if place > end else start
                end = place + length - 1
                if longest is None or end - start > longest[1] - longest[0]:
                    longest = (start, end)
        return longest


@dataclass(frozen=True, slots=True)
class Openers:
    """Opening words that a large share of texts begin with, and that share."""

    shares: dict[tuple[str, ...], float] = field(default_factory=dict)

    def of(self, words: Sequence[str]) -> tuple[int, float] | None:
        """How many words of a text are its longest known opener, and its share; or None."""
        for length in range(min(_LONGEST_OPENER, len(words)), _SHORTEST_OPENER - 1, -1):
            share = self.shares.get(tuple(words[:length]))
            if share is not None:
                return length, share
        return None

    def share(self, text: str) -> float:
        """The share of texts that begin as this one does, in [0, 1]; 0 if no known opener."""
        known = self.of([word for word, _, _ in _spans(text)])
        return 0.0 if known is None else known[1]


_SHORTEST_OPENER, _LONGEST_OPENER = 3, 12


def find_openers(texts: Iterable[str], *, share: float = 0.1, least: int = 10) -> Openers:
    """Find boilerplate openers in the texts themselves; no list of phrases is kept.

    Many people begin with "I like the"; that many begin with the same eight words is no chance. So
    the share that is asked for falls to 0.3 of itself with every word beyond three.

    Args:
        texts: a corpus; the same text twice counts once, that is what duplicates are for.
        share: of all distinct texts, from which three opening words are boilerplate.
        least: never fewer texts than this.

    Raises:
        InputError: a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise InputError(f"an opener's share is above 0 and at most 1, not {share}")
    distinct = {tuple(_words(text)) for text in texts}
    found: dict[tuple[str, ...], float] = {}
    rest = [words for words in distinct if len(words) >= _SHORTEST_OPENER]
    for length in range(_SHORTEST_OPENER, _LONGEST_OPENER + 1):
        counts = Counter(words[:length] for words in rest if len(words) >= length)
        needed = max(least, len(distinct) * share * 0.3 ** (length - _SHORTEST_OPENER))
        # A longer opening is at most as frequent: only what enough texts share is looked at again.
        rest = [words for words in rest if counts[words[:length]] >= least]
        found.update({w: n / len(distinct) for w, n in counts.items() if n >= needed})
    return Openers(found)


@dataclass(frozen=True, slots=True)
class Context:
    """What hygiene must be told: what was asked, what is boilerplate, which language is wanted."""

    prompts: Prompts = field(default_factory=Prompts)
    openers: Openers = field(default_factory=Openers)
    language: str = "en"

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise InputError(
                f"language '{self.language}' is not told apart from others",
                f"one of: {', '.join(LANGUAGES)}",
            )


_PLAIN = Context()


def hygiene(text: str, context: Context = _PLAIN, finish_reason: str = "") -> list[Finding]:
    """Everything that is wrong with a text, in the order of `REASONS`, one finding per reason.

    Args:
        text: a caption or comment.
        context: what else must be known.
        finish_reason: what the engine said; ``length`` means cut off.
    """
    if (nothing := empty(text)) is not None:
        return [nothing]
    finders: list[Callable[[], Finding | None]] = [
        lambda: refusal(text),
        lambda: prompt_leak(text, context.prompts),
        lambda: loop(text),
        lambda: cut_off(text, finish_reason),
        lambda: wrong_language(text, context.language),
        lambda: opener(text, context.openers),
        lambda: markup(text),
        lambda: url(text),
        lambda: email(text),
        lambda: handle(text),
        lambda: signature(text),
        lambda: garbled(text),
    ]
    return [finding for find in finders if (finding := find()) is not None]


_NOTHING = frozenset(["", "none", "null", "nan", "n a", "no comment", "caption", "description"])


def empty(text: str) -> Finding | None:
    """No words at all, or a word that stands for none."""
    if " ".join([word for word, _, _ in _spans(text)]) in _NOTHING:
        return Finding("empty", 0, len(text), text)
    return None


_PICTURE = r"(?:images?|photos?|photographs?|pictures?|attachments?|visual content)"
_UNABLE = (
    r"(?:can ?not|can['’]?t|could ?n[o'’]?t|am unable to|['’]?m unable to|am not able to|unable to"
    r"|['’]m not able to|do not have the (?:ability|capability) to|don['’]t have the ability to)"
)
_REFUSAL = re.compile(
    rf"\bas an? (?:ai|artificial intelligence|(?:large )?language model|text-based)\b"
    rf"|\bi(?: am|['’]m) (?:just |only )?an? (?:ai|language model|text-based)\b"
    # People are sorry that they cannot tell; only models are sorry that they cannot assist.
    rf"|\bi(?:['’]m| am) sorry,? (?:but )?i {_UNABLE} (?:assist|help|comply|fulfil|provide|do that"
    rf"|view|access|analy|process|describe|evaluate|identify)"
    rf"|\bi(?:['’]m| am) sorry,? (?:but )?(?:there is|there['’]s) no {_PICTURE}"
    rf"|\b(?:i )?{_UNABLE} (?:directly )?(?:view|access|open|analy[sz]e|display|load|process)"
    rf" (?:or \w+ )?(?:the |this |any |an |your )?(?:\w+ )?{_PICTURE}\b"
    rf"|\bi {_UNABLE} (?:actually )?see (?:the|any|an) (?:\w+ )?{_PICTURE}"
    rf"(?=[\s.,;]*(?:$|you|but|so|to|and|please|[.,;]))"
    rf"|\bi {_UNABLE} (?:assist|comply|fulfil+|help) (?:you )?(?:with )?"
    rf"(?:this|that|the|your) request"
    rf"|\bno {_PICTURE} (?:was|were|has been|is|have been) (?:provided|attached|uploaded|included)"
    rf"|\bplease (?:provide|upload|attach|share) (?:the|an|a|your) (?:\w+ )?{_PICTURE}\b",
    re.IGNORECASE,
)


def refusal(text: str) -> Finding | None:
    """A model that says it cannot see, may not speak or is a model."""
    return _first("refusal", _REFUSAL, text)


_TEMPLATE = re.compile(
    r"<\|\w+\|>|</?s>|\[/?INST\]|<<?/?SYS>?>|<(?:image|img|vision_\w+|end_of_utterance)>"
    r"|^[ \t]*(?:#+ ?)?(?:system|user|human|assistant|instructions?)\s*:"
    r"|#{2,} ?(?:instruction|response)"
    r"|\byou are an? (?:helpful|expert|professional)\b",
    re.IGNORECASE | re.MULTILINE,
)


def prompt_leak(text: str, prompts: Prompts) -> Finding | None:
    """The question or the system text said back, or marks of a chat template."""
    if (template := _first("prompt_leak", _TEMPLATE, text, "chat template")) is not None:
        return template
    words = _spans(text)
    repeated = prompts.repeated([word for word, _, _ in words])
    if repeated is None:
        return None
    start, end = words[repeated[0]][1], words[repeated[1]][2]
    count = repeated[1] - repeated[0] + 1
    return Finding("prompt_leak", start, end, text[start:end], f"{count} words of the prompt")


_LONGEST_LOOP = 30
_SAME_LETTER = re.compile(r"([^\W\d_])\1{14,}")
_REPEATED_SHARE = 0.5
_LEAST_FOR_SHARE = 40


def loop(text: str) -> Finding | None:
    """The same words over and over: in a row, or most of a long text's four-word runs.

    In a row means eight times a word, five times two, four times three, three times up to seven,
    twice more than that: people say "ha ha ha ha ha", but nobody says a sentence twice in a row.
    """
    if (letters := _first("loop", _SAME_LETTER, text, "one letter")) is not None:
        return letters
    spans = _spans(text)
    words = [word for word, _, _ in spans]
    repeated = len(words) - len(set(words))
    if repeated < 4:
        return None
    for period in range(1, min(_LONGEST_LOOP, len(words) // 2) + 1):
        times = {1: 8, 2: 5, 3: 4}.get(period, 3 if period < 8 else 2)
        again = period * (times - 1)  # words that are those of a period before, at least
        if repeated < again or sum(map(eq, words[period:], words)) < again:
            continue
        for first, last in _runs(words, period):
            if last - first + 1 >= period * times and not words[first].isdigit():
                start, end = spans[first][1], spans[last][2]
                count = (last - first + 1) // period
                return Finding("loop", start, end, text[start:end], f"{count} × {period} words")
    return _repetitive(text, words, spans)


def _repetitive(text: str, words: list[str], spans: Sequence[_Span]) -> Finding | None:
    if len(words) < _LEAST_FOR_SHARE:
        return None
    counts = Counter(zip(words, words[1:], words[2:], words[3:], strict=False))
    again = sum(count for count in counts.values() if count > 1)
    if again < _REPEATED_SHARE * counts.total():
        return None
    often, count = counts.most_common(1)[0]
    place = next(i for i in range(len(words)) if tuple(words[i : i + 4]) == often)
    start, end = spans[place][1], spans[place + 3][2]
    return Finding("loop", start, end, text[start:end], f"{count} times, with others like it")


def _runs(words: list[str], period: int) -> Iterator[tuple[int, int]]:
    """First and last place of stretches in which every word is that of a period before."""
    length = 0
    for place in range(period, len(words) + 1):
        if place < len(words) and words[place] == words[place - period]:
            length += 1
        else:
            if length:
                yield place - period - length, place - 1
            length = 0


# "in", "of" or "with" may well end a sentence; an article or a conjunction does not.
_DANGLING = re.compile(
    r"\b(?:the|a|an|and|or|but|because|its|their|your|my|which|whose|than|into|although)\s*$"
    r"|[,:(\[{–—]\s*$|(?<=\w)-\s*$",
    re.IGNORECASE,
)


def cut_off(text: str, finish_reason: str = "") -> Finding | None:
    """Ends in the middle: the engine says so, or the last word or mark needs another."""
    if finish_reason == "length":
        words = _spans(text)
        start = words[-1][1] if words else 0
        return Finding("cut_off", start, len(text), text[start:], "the engine's limit")
    # ":(" is a face and "option a" a name.
    if re.search(r"[:;=8]-?[(\[{]\s*$", text):
        return None
    return _first("cut_off", _DANGLING, text)


def wrong_language(text: str, wanted: str = "en") -> Finding | None:
    """Surely another language than the one wanted; nothing where that is unsure."""
    language = language_of(text)
    if language in ("", wanted):
        return None
    return Finding("language", 0, len(text), text, language)


def opener(text: str, openers: Openers) -> Finding | None:
    """Begins as very many texts of this corpus begin."""
    spans = _spans(text)[:_LONGEST_OPENER]
    known = openers.of([word for word, _, _ in spans])
    if known is None:
        return None
    start, end = spans[0][1], spans[known[0] - 1][2]
    return Finding("opener", start, end, text[start:end], f"{known[1]:.2%} of texts begin so")


_TAGS = "a|b|i|u|p|br|hr|em|strong|span|div|font|h[1-6]|ul|ol|li|img|quote|url|code|table|tr|td"
_MARKUP = re.compile(
    rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>|\[/?(?:{_TAGS})(?:=[^\]]{0, 200})?\]"
    r"|&(?:amp|lt|gt|quot|nbsp|apos|#\d+);"
    r"|\*\*[^*\s][^*]*\*\*|```|^#{1,6} \w|!?\[[^\]]{1,200}\]\([^)]{1,500}\)"
    r"|^[ \t]*(?:[-*•] \w.*\n\s*[-*•] |\d+[.)] \w.*\n\s*\d+[.)] )|^[ \t]*\{\s*\"[^\"]+\"\s*:"
    r"|\bmessage edited by author\b",
    re.IGNORECASE | re.MULTILINE,
)


def markup(text: str) -> Finding | None:
    """HTML, BBCode, Markdown, JSON, or what a forum adds to a post."""
    return _first("markup", _MARKUP, text)


_TLD = r"(?:com|org|net|edu|info|co\.uk|de|fr|io)"
_URL = re.compile(
    rf"\bhttps?://\S+|\bwww\.[\w-]+\.\S+|(?<![\w@.-])[\w-]{{2,}}\.{_TLD}\b(?:/\S*)?"
    # Texts whose punctuation was taken away keep the words of an address.
    r"|\b(?:https? )?w(?:ww)? [\w-]+ (?:com|org|net)\b"
    r"(?: (?:\w+ ){0,6}?(?:php|html?)(?: \w*id\b)?)?"
    r"|\b\w+ (?:com|org|net) (?:\w+ ){0,6}?(?:php|html?)\b(?: \w*id\b)?",
    re.IGNORECASE,
)
_MAILERS = r"(?:gmail|yahoo|hotmail|aol|msn|outlook|gmx)"
_EMAIL = re.compile(
    rf"(?<![\w.+-])[\w.+-]{{1,64}}@[\w-]+(?:\.[\w-]+)+|\b\w+ (?:at )?{_MAILERS} (?:dot )?com\b",
    re.IGNORECASE,
)


_ADDRESS_PARTS = ("com", "org", "net", "http", "www", ".")


def _address_like(text: str) -> bool:
    """Whether an address is possible: looking for one costs far more than looking for its parts."""
    lower = text.lower()
    return any(part in lower for part in _ADDRESS_PARTS)


def url(text: str) -> Finding | None:
    """A web address, also one whose punctuation was lost."""
    return _first("url", _URL, text) if _address_like(text) else None


def email(text: str) -> Finding | None:
    """An e-mail address, also one whose punctuation was lost."""
    return _first("email", _EMAIL, text) if _address_like(text) or "@" in text else None


_HANDLE = re.compile(
    r"(?<![\w.])@[A-Za-z]\w{2,}\b(?!\.\w)|\boriginally posted by \w+"
    # Both halves longer than a letter: o_o is a face, and some write_i for a pause.
    r"|(?<![\w/=?&.])(?=\w*[A-Za-z])[A-Za-z0-9]{2,}_[A-Za-z0-9]{2,}(?:_\w+)*\b",
    re.IGNORECASE,
)


def handle(text: str) -> Finding | None:
    """What a person is called on a site: @name, name_name, a quoted poster."""
    if "_" not in text and "@" not in text and "posted by" not in text.lower():
        return None
    addresses = [match.span() for match in _URL.finditer(text)]
    for match in _HANDLE.finditer(text):
        if not any(start < match.end() and match.start() < end for start, end in addresses):
            return Finding("handle", *match.span(), match[0])
    return None


_CALLED = r"[A-Z][a-z]{2,}(?: [A-Z][a-z]+)?"
_SIGNATURE = re.compile(
    rf"(?:(?<=[.!?)…] )|(?<=\s\s)|(?<=\n))[-–—~]{{1,2}} ?{_CALLED}\s*$"
    rf"|\b(?:[Rr]egards|[Cc]heers|[Bb]est wishes|[Ss]igned|[Ss]incerely|[Yy]ours)[,!.]?"
    rf" *[-–—~]*\s*{_CALLED}\W*$"
)  # fmt: skip


def signature(text: str) -> Finding | None:
    """A name below the text: a dash or a greeting, then somebody's name, then nothing."""
    return _first("signature", _SIGNATURE, text)


_GARBLED = re.compile(
    r"�|[ÃÂ][\x80-\xbf€™œ]|â€|(?<=[A-Za-z])[\u2e80-\u9fff\uff00-\uffef]|[\u2e80-\u9fff\uff00-\uffef](?=[A-Za-z])"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)  # fmt: skip


def garbled(text: str) -> Finding | None:
    """Letters that were decoded with the wrong table, and control characters."""
    found = _first("garbled", _GARBLED, text)
    # In a text in another script, its letters beside Latin ones are no accident.
    return found if found is not None and language_of(text) in ("", *LANGUAGES) else None


def _first(name: str, pattern: re.Pattern[str], text: str, detail: str = "") -> Finding | None:
    match = pattern.search(text)
    return None if match is None else Finding(name, *match.span(), match[0], detail)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


_Span = tuple[str, int, int]


@lru_cache(maxsize=8)
def _spans(text: str) -> tuple[_Span, ...]:
    """Words with their places; remembered, since most findings of one text ask for them."""
    return tuple((match[0].lower(), *match.span()) for match in _WORD.finditer(text))
