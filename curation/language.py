"""Which language a text is written in, from its script and its commonest words.

Says nothing where nothing is certain: a list of keywords has no common words and a name has no
language. Light on purpose (no model, no download); good enough to find captions that are not in the
language that was asked for. Must not know what the text is about.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+")
_LEAST_WORDS, _LEAST_EVIDENCE = 6, 3
_LEAST_SHARE, _MARGIN = 0.25, 1.5
_FOREIGN_SCRIPT = 0.3

# A word may stand in several lists: related languages share theirs.
_COMMON = {
    "en": """the a an and of to i it is in this that for on with you but as so are was be at me my
        your have has had not they we he she his her would could should if or from do don't it's i'm
        there what which who when how just really very more like am been can will than then also
        no by all too one me up out about its been were did does""",
    "de": """der die das und ist nicht ein eine einen einem einer ich du er sie es wir ihr mit auf
        für von zu im den dem des sich auch aber sehr wie bild hat sind war wird durch nur noch mehr
        so bei aus als über wäre etwas ganz gut schön in an hier kein keine zum zur am man oder""",
    "fr": """le la les un une des et est pas ce cette ces de du dans que qui pour sur avec je tu il
        elle nous vous mais très plus au aux en par son sa ses ne se c'est trop bien mon ma sont
        être fait comme on ou d l c n y a image belle beau""",
    "es": """el la los las un una unos y es no que de del en por para con se su sus muy más pero
        como lo al le esta este esto me mi yo tu foto imagen está son fue ha hay también todo bien
        buena bueno sin sobre o a""",
    "it": """il lo la i gli le un una e è non che di del della dei delle in per con si su molto più
        ma come questo questa mi ti sono nel nella ha anche bella bello foto immagine da al alla tra
        o a""",
    "pt": """o a os as um uma e é não que de do da dos das em no na nos nas por para com se seu sua
        muito mais mas como este esta isso eu você foto imagem está são foi também bem ao ótima""",
    "nl": """de het een en is niet dat van ik je hij zij we met op voor te in er maar zeer erg mooi
        ook aan als bij om uit foto beeld heel wel nog geen naar dit deze zijn was mijn goed
        over""",
    "sv": """och är en ett det som på av för med inte jag du han hon vi den de till har men mycket
        bild bra om så från kan var att i ej också ni fin""",
    "pl": """i w na z się nie to jest że do jak ale co za po tak od dla bardzo ten ta te o ma są był
        zdjęcie ładne przez już tylko""",
}
_SETS = {name: frozenset(words.split()) for name, words in _COMMON.items()}
_LISTED_IN: dict[str, list[str]] = {}
for _name, _listed in _SETS.items():
    for _word in sorted(_listed):
        _LISTED_IN.setdefault(_word, []).append(_name)
# English words, or what people write in English, that are common words elsewhere: no evidence.
_ALSO_ENGLISH = _SETS["en"] | set(
    "come die war car son tu fin par con ha image more all man bra men pour note do pro via per"
    " an on plus am de la las los el le foto dream est mi os om met over goed us as et".split()
)
LANGUAGES = tuple(_COMMON)
"""Codes of the languages that are told apart; others are known by their script only."""


def language_of(text: str) -> str:
    """A language's code, the name of a script that is not Latin, or nothing where unsure."""
    if not text.isascii():
        letters = [letter for letter in text if letter.isalpha()]
        foreign = [letter for letter in letters if not letter.isascii() and not _latin(letter)]
        if len(foreign) >= 2 and len(foreign) > _FOREIGN_SCRIPT * len(letters):
            return unicodedata.name(foreign[0], "unknown").split()[0].lower()
    words = [word.lower() for word in _WORD.findall(text)]
    if len(words) < _LEAST_WORDS:
        return ""
    counts = dict.fromkeys(_SETS, 0)
    for word in words:
        for name in _LISTED_IN.get(word, ()):
            counts[name] += 1
    shares = {name: count / len(words) for name, count in counts.items()}
    first = max(shares, key=lambda name: shares[name])
    if shares[first] < _LEAST_SHARE or first == "en":
        return "en" if first == "en" and shares[first] >= _LEAST_SHARE else ""
    evidence = {word for word in words if len(word) > 1 and word in _SETS[first] - _ALSO_ENGLISH}
    # Only English is a rival: that a text is Spanish rather than Portuguese need not be sure.
    sure = len(evidence) >= _LEAST_EVIDENCE and shares[first] >= _MARGIN * shares["en"]
    return first if sure else ""


def _latin(letter: str) -> bool:
    return "LATIN" in unicodedata.name(letter, "")
