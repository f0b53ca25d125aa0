"""Measurements in words: facts that a sentence can be built from.

A `Fact` says one measured thing twice, as a clause and as a noun phrase, with a magnitude that
follows from the number. Wordings are drawn at random, what they state is not. Must not know
prompts or levels; `curation.phrasing` makes sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from curation.measure import Measurements, fault_severities


@dataclass(frozen=True, slots=True)
class Fact:
    """One measured thing in words.

    `clause` is a main clause without capital or full stop (``edges are crisp``), `noun` a noun
    phrase that can follow *with* (``crisp edges``). `tone` is +1, 0 or −1: whether it speaks for
    the photo; `weight` (0–1) how remarkable it is.
    """

    clause: str
    noun: str
    tone: int
    weight: float


Draw = Callable[[Measurements, Random], list[Fact]]

_NUMBERS = (
    "no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
).split()

_SHARES = (
    (0.03, ("a trace", "a sliver")),
    (0.075, ("about a twentieth", "around five percent")),
    (0.14, ("about a tenth", "roughly ten percent")),
    (0.22, ("about a fifth", "roughly twenty percent")),
    (0.29, ("about a quarter", "roughly a quarter")),
    (0.41, ("about a third", "roughly a third")),
    (0.6, ("about half", "roughly half")),
    (0.71, ("about two thirds", "roughly two thirds")),
    (0.86, ("about three quarters", "well over two thirds")),
    (0.97, ("about nine tenths", "most")),
    (9.0, ("practically all", "nearly all")),
)


def number_word(value: float) -> str:
    """A rounded number in words; ``more than twenty`` above that."""
    whole = round(value)
    return _NUMBERS[whole] if whole < len(_NUMBERS) else "more than twenty"


def share_words(share: float, rng: Random) -> str:
    """A share from 0 to 1 in words that can stand before *of the frame*."""
    return rng.choice(next(words for limit, words in _SHARES if share < limit))


def article(phrase: str) -> str:
    """A phrase that starts with a consonant or vowel letter, with *a* or *an* before it."""
    return f"{'an' if phrase[:1].lower() in 'aeiou' else 'a'} {phrase}"


def listed(words: Sequence[str]) -> str:
    """One, two or more phrases as a list: ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _pick(
    rng: Random, value: float, *bands: tuple[float, int, float, Sequence[tuple[str, str]]]
) -> Fact:
    """A fact from the first band whose limit lies above the value.

    Bands are (limit, tone, weight, wordings); a wording is (clause, noun phrase). Clause and noun
    phrase are drawn apart from each other: all wordings of a band mean the same.
    """
    band = next((band for band in bands if value < band[0]), bands[-1])
    return Fact(rng.choice(band[3])[0], rng.choice(band[3])[1], band[1], band[2])


_ALL = float("inf")


def sharpness(m: Measurements, rng: Random) -> list[Fact]:
    """Edges, fine texture, resolution that is really there."""
    width = number_word(max(1, 2.56 * m.focus))
    pixels = "a single pixel" if width == "one" else f"{width} pixels"
    about = rng.choice(["about", "around", "roughly"])
    facts = [
        _pick(
            rng, m.focus,
            (0.62, 1, 0.6, [("edges are razor-sharp", "razor-sharp edges"),
                            ("contours are extremely crisp", "extremely crisp contours"),
                            ("every edge is cleanly cut", "cleanly cut edges"),
                            ("focus is spot-on", "spot-on focus")]),
            (0.9, 1, 0.5, [("edges are crisp", "crisp edges"),
                           ("contours are sharp", "sharp contours"),
                           ("outlines are clear and well defined", "clear, well-defined outlines"),
                           ("the focus is good", "good focus")]),
            (1.2, 0, 0.3, [("edges are reasonably sharp", "reasonably sharp edges"),
                           ("contours are a touch soft", "slightly soft contours"),
                           ("sharpness is acceptable without being crisp", "acceptable sharpness"),
                           ("outlines are mostly clear", "mostly clear outlines")]),
            (1.7, -1, 0.6, [("edges are soft", "soft edges"),
                            ("contours are visibly smeared", "visibly smeared contours"),
                            ("sharpness is limited", "limited sharpness"),
                            ("a noticeable blur lies over the outlines", "noticeable blur")]),
            (2.4, -1, 0.85, [("edges are blurred", "blurred edges"),
                             ("contours run into each other", "washed-out contours"),
                             ("clear blur softens every outline", "clear blur on every outline"),
                             ("nothing in the frame is really sharp", "a lack of sharpness")]),
            (_ALL, -1, 1.0, [("edges are heavily blurred", "heavily blurred edges"),
                             ("strong blur dissolves the contours", "strong blur everywhere"),
                             ("outlines are little more than gradients", "dissolved outlines"),
                             ("the whole frame is out of focus", "severe blur")]),
        ),
        Fact(
            rng.choice([
                f"a typical edge takes {about} {pixels} from dark to light",
                f"the step from dark to light spreads over {about} {pixels}",
                f"transitions at edges are {about} {pixels} wide",
            ]),
            rng.choice([f"edge transitions {about} {pixels} wide",
                        f"edges that spread over {about} {pixels}"]),
            1 if m.focus < 0.9 else 0 if m.focus < 1.2 else -1, 0.25,
        ),
        _pick(
            rng, m.fine_detail,
            (-2.0, -1, 0.7, [("fine texture is gone", "no fine texture"),
                             ("small details are wiped out", "wiped-out small details"),
                             ("surfaces have lost their finest structure", "smooth, detail-free surfaces")]),
            (-0.8, -1, 0.5, [("fine texture is thin", "thinned-out texture"),
                             ("small details are partly lost", "partly lost small details"),
                             ("the finest structures are smoothed over", "smoothed-over detail")]),
            (0.1, 0, 0.2, [("fine texture is mostly kept", "mostly intact texture"),
                           ("small details hold up fairly well", "fairly well-kept small details"),
                           ("most fine structure survives", "a fair amount of fine detail")]),
            (_ALL, 1, 0.4, [("fine texture is preserved", "well-preserved texture"),
                            ("small details stay visible", "clearly visible small details"),
                            ("the finest structures are still there", "plenty of fine detail")]),
        ),
    ]  # fmt: skip
    if m.bandwidth < 0.5:
        part = share_words(m.bandwidth, rng)
        facts.append(Fact(
            rng.choice([
                f"the picture carries only {part} of the detail its pixels could hold",
                f"only {part} of the available resolution is really used",
                "it looks enlarged from a smaller picture",
            ]),
            rng.choice(["the look of an enlarged small picture", "low effective resolution",
                        f"detail for only {part} of its resolution"]),
            -1, 0.6 if m.bandwidth > 0.3 else 0.8,
        ))  # fmt: skip
    if m.megapixels < 0.05:
        facts.append(Fact(f"at {m.width} by {m.height} pixels the picture is tiny",
                          f"a size of merely {m.width} by {m.height} pixels", -1, 0.9))  # fmt: skip
    if m.depth > 1.9 and m.focus < 1.7:
        facts.append(Fact(
            rng.choice(["some parts are sharp while others melt away",
                        "sharpness varies strongly across the frame"]),
            rng.choice(["sharpness that varies strongly", "sharp parts beside soft ones"]), 0, 0.35,
        ))  # fmt: skip
    return facts


def noise(m: Measurements, rng: Random) -> list[Fact]:
    """Fine noise in the calmest areas."""
    levels = number_word(max(1, m.noise))
    unit = "grey level" if levels == "one" else "grey levels"
    facts = [
        _pick(
            rng, m.noise,
            (0.9, 1, 0.35, [("no noise is visible", "no visible noise"),
                            ("smooth areas are perfectly clean", "perfectly clean smooth areas"),
                            ("flat areas are free of grain", "grain-free flat areas"),
                            ("calm surfaces show no speckle", "a complete absence of speckle")]),
            (2.2, 1, 0.2, [("noise is negligible", "negligible noise"),
                           ("only a hint of grain is there", "only a hint of grain"),
                           ("smooth areas are nearly clean", "nearly clean smooth areas"),
                           ("grain stays below notice", "barely measurable grain")]),
            (4.2, -1, 0.45, [("a light grain covers the smooth areas", "a light grain"),
                             ("some fine noise is noticeable", "some noticeable fine noise"),
                             ("calm areas are slightly speckled", "slightly speckled calm areas"),
                             ("mild grain is present throughout", "mild grain throughout")]),
            (8.0, -1, 0.75, [("noise is clearly visible", "clearly visible noise"),
                             ("smooth areas are grainy", "grainy smooth areas"),
                             ("a distinct grain lies over the frame", "a distinct grain"),
                             ("flat surfaces are speckled", "speckled flat surfaces")]),
            (_ALL, -1, 1.0, [("noise is heavy everywhere", "heavy noise"),
                             ("coarse grain swamps the smooth areas", "coarse, obtrusive grain"),
                             ("strong speckle covers the whole frame", "strong speckle all over"),
                             ("nothing in the frame is free of grain", "pervasive grain")]),
        )
    ]  # fmt: skip
    if m.noise >= 0.6:
        about = rng.choice(["about", "around", "roughly"])
        tone = 1 if m.noise < 2.2 else -1
        facts.append(Fact(
            rng.choice([
                f"even the calmest areas vary by {about} {levels} {unit}",
                f"fine fluctuations measure {about} {levels} {unit} in the calmest areas",
                f"pixel-to-pixel variation amounts to {about} {levels} {unit} in calm areas",
            ]),
            rng.choice([f"fine fluctuations of {about} {levels} {unit}",
                        f"{about} {levels} {unit} of fine variation in calm areas"]),
            tone, 0.2,
        ))  # fmt: skip
    else:
        facts.append(Fact(
            rng.choice(["neighbouring pixels in calm areas are practically identical",
                        "the calmest areas vary by less than one grey level",
                        "even plain surfaces stay perfectly smooth"]),
            rng.choice(["calm areas that vary by less than one grey level",
                        "completely smooth plain surfaces"]), 1, 0.15,
        ))  # fmt: skip
    if m.noise > 3 and m.brightness < 0.3:
        facts.append(Fact("the darkness makes the grain stand out", "grain in dark surroundings",
                          -1, 0.4))  # fmt: skip
    elif m.noise > 3 and m.edges > 0.35:
        facts.append(Fact("dense texture hides some of the grain", "texture that hides some grain",
                          0, 0.2))  # fmt: skip
    return facts


def exposure(m: Measurements, rng: Random) -> list[Fact]:
    """Mean brightness and both ends of the tones."""
    facts = [
        _pick(
            rng, m.brightness,
            (0.13, -1, 0.9, [("the frame is very dark", "a very dark frame"),
                             ("exposure is far too low", "a strong lack of light"),
                             ("most of the picture sinks into darkness", "deep darkness overall")]),
            (0.27, -1, 0.6, [("the picture is dark overall", "a dark overall exposure"),
                             ("exposure is low", "low exposure"),
                             ("midtones are pulled down into the shadows", "dark midtones")]),
            (0.38, 0, 0.2, [("exposure leans to the dark side", "a slightly dark exposure"),
                            ("brightness stays a little below the middle", "restrained brightness"),
                            ("the tones are on the darker side", "tones on the darker side")]),
            (0.58, 1, 0.35, [("exposure is balanced", "balanced exposure"),
                             ("overall brightness is well judged", "well-judged brightness"),
                             ("midtones sit where they should", "well-placed midtones"),
                             ("the picture is neither too dark nor too bright", "even exposure")]),
            (0.7, 0, 0.25, [("exposure leans to the bright side", "a slightly bright exposure"),
                            ("the tones are on the brighter side", "tones on the brighter side"),
                            ("brightness is above the middle", "raised brightness")]),
            (0.82, -1, 0.65, [("the picture is very bright overall", "a very bright exposure"),
                              ("exposure is high", "high exposure"),
                              ("midtones are lifted towards white", "pale, lifted midtones")]),
            (_ALL, -1, 0.95, [("the frame is almost white", "an almost white frame"),
                              ("exposure is far too high", "a strong excess of light"),
                              ("most of the picture is bleached", "bleached tones")]),
        )
    ]  # fmt: skip
    facts += _clipped(m, rng)
    where = share_words(m.brightness, rng)
    tone = facts[0].tone
    facts.append(Fact(
        rng.choice([f"average brightness lies at {where} of the scale",
                    f"the mean tone sits at {where} of full white"]),
        rng.choice([f"an average brightness of {where} of full white",
                    f"a mean tone at {where} of the scale"]), tone, 0.15,
    ))  # fmt: skip
    return facts


def _clipped(m: Measurements, rng: Random) -> list[Fact]:
    facts = []
    frame = rng.choice(["the frame", "the picture", "the area"])
    if m.highlights >= 0.015:
        part = share_words(m.highlights, rng)
        facts.append(Fact(
            rng.choice([f"{part} of {frame} is burnt out to white",
                        f"highlights are clipped in {part} of {frame}",
                        f"{part} of {frame} has lost its highlights"]),
            rng.choice([f"clipped highlights in {part} of {frame}",
                        f"white, empty highlights over {part} of {frame}"]),
            -1, min(1.0, 0.4 + m.highlights * 1.5),
        ))  # fmt: skip
    if m.shadows >= 0.03:
        part = share_words(m.shadows, rng)
        facts.append(Fact(
            rng.choice([f"{part} of {frame} is blocked up in black",
                        f"shadows turn pure black in {part} of {frame}",
                        f"{part} of {frame} is solid black"]),
            rng.choice([f"blocked shadows in {part} of {frame}",
                        f"solid black over {part} of {frame}"]),
            -1, min(0.9, 0.3 + m.shadows),
        ))  # fmt: skip
    if not facts:
        facts.append(Fact(
            rng.choice(["neither highlights nor shadows are clipped",
                        "both ends of the tonal scale keep their detail",
                        "no bright area burns out and no shadow blocks up"]),
            rng.choice(["unclipped highlights and shadows", "detail at both ends of the scale"]),
            1, 0.3,
        ))  # fmt: skip
    elif m.highlights < 0.015:
        facts.append(Fact(
            rng.choice(["the highlights hold", "bright areas keep their detail",
                        "highlights are intact"]),
            rng.choice(["intact highlights", "bright areas that keep their detail"]), 1, 0.2,
        ))  # fmt: skip
    return facts


def contrast(m: Measurements, rng: Random) -> list[Fact]:
    """Distance and distribution of tones."""
    span = share_words(m.tonal_range, rng)
    facts = [
        _pick(
            rng, m.contrast,
            (0.07, -1, 0.9, [("contrast is very low", "very low contrast"),
                             ("the picture looks flat and veiled", "a flat, veiled look"),
                             ("tones crowd together in a narrow band", "closely crowded tones")]),
            (0.125, -1, 0.55, [("contrast is weak", "weak contrast"),
                               ("the picture looks rather flat", "a rather flat look"),
                               ("light and dark are not far apart", "muted tonal contrast")]),
            (0.19, 0, 0.2, [("contrast is moderate", "moderate contrast"),
                            ("light and dark are gently separated", "gently separated tones"),
                            ("the tonal contrast is restrained", "restrained contrast")]),
            (0.27, 1, 0.35, [("contrast is strong", "strong contrast"),
                             ("light and dark are clearly separated", "clearly separated tones"),
                             ("the tones have punch", "punchy tones")]),
            (_ALL, 0, 0.5, [("contrast is very high", "very high contrast"),
                            ("light and dark clash hard", "a hard clash of light and dark"),
                            ("tones jump from deep dark to bright", "stark tonal jumps")]),
        ),
        Fact(
            rng.choice([f"tones cover {span} of the scale",
                        f"the tonal range takes up {span} of the scale",
                        f"from darkest to brightest the tones span {span} of the range"]),
            rng.choice([f"tones across {span} of the scale",
                        f"a tonal range that covers {span} of the scale"]),
            1 if m.tonal_range > 0.75 else 0 if m.tonal_range > 0.45 else -1,
            0.25 if m.tonal_range > 0.45 else 0.5,
        ),
    ]  # fmt: skip
    if m.entropy < 6.2:
        facts.append(Fact("only few tones are in use", "a small number of tones", -1, 0.35))
    elif m.entropy > 7.5:
        facts.append(Fact(
            rng.choice(["gradations between the tones are rich", "tones are spread evenly"]),
            rng.choice(["rich gradation", "an even spread of tones"]), 1, 0.25))  # fmt: skip
    else:
        facts.append(Fact(
            rng.choice(["there is an ordinary number of gradations between light and dark",
                        "gradations are neither rich nor poor"]),
            rng.choice(["ordinary gradation", "a usual number of gradations"]), 0, 0.1))  # fmt: skip
    return facts


def colour(m: Measurements, rng: Random) -> list[Fact]:
    """Amount of colour, casts, and which colours dominate."""
    if m.coloured < 0.03 and m.saturation < 4:
        none = m.saturation < 1
        return [
            Fact(
                rng.choice(["the picture is in black and white", "there is no colour at all",
                            "everything is rendered in shades of grey"] if none else
                           ["hardly any colour is left", "the picture is almost monochrome",
                            "colours are drained to near grey"]),
                rng.choice(["pure shades of grey", "a black-and-white rendering",
                            "no colour at all"] if none else
                           ["hardly any colour", "an almost monochrome rendering",
                            "colours close to grey"]),
                0 if none else -1, 0.6),
            Fact(
                rng.choice(["no tint disturbs the greys", "the greys are neutral"]
                           if m.cast < 4 else [f"the greys lean {m.tint}"]),
                "neutral greys" if m.cast < 4 else f"{m.tint} greys", 1 if m.cast < 4 else 0, 0.2),
        ]  # fmt: skip
    facts = [
        _pick(
            rng, m.colourfulness,
            (12, -1, 0.55, [("colours are faded", "faded colours"),
                            ("the colours are drained and weak", "drained, weak colours"),
                            ("very little colour is left", "very little colour")]),
            (26, 0, 0.3, [("colours are muted", "muted colours"),
                          ("the palette is subdued", "a subdued palette"),
                          ("colour is used sparingly", "sparing colour")]),
            (46, 1, 0.3, [("colours are natural in strength", "colours of natural strength"),
                          ("saturation is moderate", "moderate saturation"),
                          ("the palette is restrained but clear", "a clear, moderate palette")]),
            (75, 1, 0.45, [("colours are lively", "lively colours"),
                           ("the palette is rich", "a rich palette"),
                           ("colours are well saturated", "well-saturated colours")]),
            (_ALL, 0, 0.6, [("colours are extremely vivid", "extremely vivid colours"),
                            ("saturation is very high", "very high saturation"),
                            ("the palette is intense", "intense colours")]),
        )
    ]  # fmt: skip
    facts += palette(m, rng)
    if m.cast >= 8:
        amount = "slight" if m.cast < 13 else "noticeable" if m.cast < 22 else "strong"
        facts.append(Fact(
            rng.choice([f"{article(amount)} {m.tint} tint lies over the neutral tones",
                        f"near-grey areas carry {article(amount)} {m.tint} cast",
                        f"neutral tones lean {m.tint}"]),
            rng.choice([f"{article(amount)} {m.tint} cast", f"{article(amount)} {m.tint} tint"]),
            -1 if m.cast >= 13 else 0,
            min(1.0, 0.2 + fault_severities(m)["colour cast"])))  # fmt: skip
    elif m.cast < 4:
        facts.append(Fact(
            rng.choice(["white balance is neutral", "greys stay neutral",
                        "no colour cast is present"]),
            rng.choice(["neutral white balance", "no colour cast", "neutral greys"]), 1, 0.25,
        ))  # fmt: skip
    return facts


def palette(m: Measurements, rng: Random) -> list[Fact]:
    """The dominant colours, warm or cool, and how much of the frame has colour."""
    facts = []
    if m.colours:
        names = list(m.colours)
        if len(names) > 1 and rng.random() < 0.3:
            names = names[:2]
        what, many = listed(names), len(names) > 1
        verb = "dominate" if many else "dominates"
        clauses = [f"{what} {verb}", f"{what} {'set' if many else 'sets'} the tone"]
        clauses.append(f"the palette is built on {what}")
        if not many:
            clauses.append(f"{what} is by far the strongest colour")
        nouns = [f"a palette of {what}" if many else f"mostly {what} tones", f"dominant {what}"]
        facts.append(Fact(rng.choice(clauses), rng.choice(nouns), 0, 0.45))
    if abs(m.warmth) > 7:
        warm = m.warmth > 0
        much = "" if abs(m.warmth) < 18 else "distinctly "
        word = "warm" if warm else "cool"
        facts.append(Fact(
            rng.choice([f"the overall temperature is {much}{word}",
                        f"the colours are {much}{word} overall"]),
            rng.choice([f"{article(much + word)} overall temperature", f"{much}{word} hues"]),
            0, 0.25))  # fmt: skip
    part = share_words(m.coloured, rng)
    facts.append(Fact(
        rng.choice([f"{part} of the frame carries visible colour",
                    f"{part} of the area is clearly coloured"]),
        rng.choice([f"visible colour in {part} of the frame",
                    f"colour over {part} of the area"]), 0, 0.12))  # fmt: skip
    return facts


def compression(m: Measurements, rng: Random) -> list[Fact]:
    """Block grid, missing tones."""
    facts = [
        _pick(
            rng, m.blockiness,
            (0.12, 1, 0.3, [("no block pattern is visible", "no block pattern"),
                            ("compression leaves no trace", "no traces of compression"),
                            ("the picture is free of blocking", "freedom from blocking"),
                            ("compression artefacts are absent", "no compression artefacts")]),
            (0.3, 0, 0.2, [("compression is barely detectable", "barely detectable compression"),
                           ("a faint block grid can be measured", "a faint block grid"),
                           ("compression artefacts stay in the background",
                            "very light compression artefacts")]),
            (0.55, -1, 0.6, [("compression artefacts are noticeable", "noticeable artefacts"),
                             ("a block grid shows in smooth areas", "a visible block grid"),
                             ("edges of coding blocks shine through", "visible coding blocks")]),
            (0.75, -1, 0.85, [("blocking is obvious", "obvious blocking"),
                              ("compression has cut the picture into blocks",
                               "clearly visible compression blocks"),
                              ("strong artefacts come from compression",
                               "strong compression artefacts")]),
            (_ALL, -1, 1.0, [("severe compression breaks the picture into squares",
                              "severe blocking"),
                             ("the picture falls apart into coding blocks",
                              "coarse compression squares all over"),
                             ("compression has ruined smooth areas",
                              "destructive compression")]),
        )
    ]  # fmt: skip
    if m.blockiness >= 0.3:
        part = share_words(m.blockiness, rng)
        facts.append(Fact(
            rng.choice([f"{part} of the tonal step at block borders is due to the grid",
                        f"the eight-pixel grid accounts for {part} of the step at its lines"]),
            "steps along an eight-pixel grid", -1, 0.2))  # fmt: skip
    else:
        facts.append(Fact(
            rng.choice(["steps between pixels do not follow any eight-pixel grid",
                        "transitions run smoothly across block borders"]
                       if m.blockiness < 0.12 else
                       ["steps along the eight-pixel grid are small",
                        "block borders are hardly stronger than their surroundings"]),
            "smooth transitions across block borders" if m.blockiness < 0.12
            else "hardly any steps at block borders", 1, 0.15))  # fmt: skip
    if m.banding > 0.05:
        facts.append(Fact(
            rng.choice([f"{share_words(m.banding, rng)} of the grey levels are missing",
                        "gaps between the tones point to banding"]),
            rng.choice(["gaps between the tones", "signs of banding"]), -1, 0.5))  # fmt: skip
    else:
        facts.append(Fact(
            rng.choice(["gradients are free of banding", "no tones are missing in between",
                        "tonal transitions are continuous"]),
            rng.choice(["continuous tonal transitions", "gradients without banding"]), 1, 0.15,
        ))  # fmt: skip
    if m.blockiness >= 0.3 and m.fine_detail < -0.5:
        facts.append(Fact("fine detail is gone as well", "a loss of fine detail", -1, 0.3))
    return facts


def composition(m: Measurements, rng: Random) -> list[Fact]:
    """Where the salient mass lies, thirds, centre, symmetry, format."""
    place = m.subject_place
    side = {"centre": "the centre", "upper": "the upper half", "lower": "the lower half",
            "left": "the left side", "right": "the right side"}.get(place, f"the {place}")  # fmt: skip
    facts = [Fact(
        rng.choice([f"visual weight gathers in {side}", f"the main weight lies in {side}",
                    f"the eye is drawn to {side}"] if place != "centre" else
                   ["visual weight is balanced around the centre",
                    "the main weight rests in the middle", "left and right are evenly weighted"]),
        rng.choice([f"visual weight in {side}", f"its emphasis on {side}"] if place != "centre"
                   else ["well-balanced visual weight", "its weight in the middle"]),
        1 if place == "centre" else 0, 0.3 if place == "centre" else 0.5)]  # fmt: skip
    if m.thirds > 1.25:
        facts.append(Fact(
            rng.choice(["strong elements fall near the thirds", "the layout follows the thirds",
                        "what stands out sits close to the thirds points"]),
            rng.choice(["strong elements near the thirds", "a layout along the thirds"]),
            1, 0.5))  # fmt: skip
    elif m.thirds < 0.75:
        facts.append(Fact(
            rng.choice(["little happens near the thirds points",
                        "what stands out avoids the thirds points"]),
            rng.choice(["little emphasis near the thirds", "empty thirds points"]), 0, 0.2,
        ))  # fmt: skip
    if m.centre > 1.7:
        facts.append(Fact(
            rng.choice(["a prominent element occupies the middle",
                        "the strongest element stands at the centre"]),
            rng.choice(["a prominent central element", "a strong centre"]), 1, 0.5))  # fmt: skip
    elif m.centre < 0.6:
        facts.append(Fact(
            rng.choice(["the middle stays quiet", "the action takes place away from the middle"]),
            rng.choice(["a quiet middle", "emphasis away from the middle"]), 0, 0.3))  # fmt: skip
    facts.append(_pick(
        rng, m.symmetry,
        (0.0, 0, 0.35, [("left and right are opposites in tone", "contrasting halves"),
                        ("the two halves differ strongly", "strongly differing halves"),
                        ("the layout is asymmetrical", "an asymmetrical layout")]),
        (0.35, 0, 0.15, [("there is little symmetry", "little symmetry"),
                         ("the two halves have little in common", "dissimilar halves"),
                         ("the arrangement is loose rather than symmetrical", "a loose arrangement")]),
        (0.65, 1, 0.3, [("left and right echo each other", "halves that echo each other"),
                        ("the layout is fairly symmetrical", "a fairly symmetrical layout"),
                        ("a moderate symmetry ties the halves together", "moderate symmetry")]),
        (_ALL, 1, 0.6, [("left and right mirror each other", "mirrored halves"),
                        ("the layout is strongly symmetrical", "strong symmetry"),
                        ("symmetry governs the layout", "a markedly symmetrical layout")]),
    ))  # fmt: skip
    if m.orientation != "square":
        shape = m.orientation
        ratio = max(m.width, m.height) / max(1, min(m.width, m.height))
        narrow = "long, narrow " if ratio > 2 else ""
        facts.append(Fact(
            rng.choice([f"the frame is in {shape} format" if not narrow
                        else f"the frame is {article(narrow)}strip",
                        f"{article(narrow + shape)} format holds it together"]),
            f"{article(narrow + shape)} format", 0, 0.1))  # fmt: skip
    else:
        facts.append(Fact("the frame is square", "a square format", 0, 0.1))
    return facts


def light(m: Measurements, rng: Random) -> list[Fact]:
    """Which side is brighter, how bright, how hard."""
    side = m.light_side
    facts = []
    if side == "even":
        facts.append(Fact(
            rng.choice(["light is spread evenly over the frame", "no side is brighter than another",
                        "brightness is even from edge to edge"]),
            rng.choice(["evenly spread light", "no preferred side of light"]), 0, 0.4))  # fmt: skip
    else:
        place = {"top": "the top", "bottom": "the bottom", "left": "the left side",
                 "right": "the right side"}.get(side, f"the {side}")  # fmt: skip
        strong = max(abs(m.light_down), abs(m.light_right)) > 0.35
        much = rng.choice(["clearly ", "much "]) if strong else rng.choice(["", "somewhat "])
        facts.append(Fact(
            rng.choice([f"{place} is {much}brighter than the rest",
                        f"the brightest side is {place}",
                        f"brightness rises towards {place}"]),
            rng.choice([f"brightness that rises towards {place}",
                        f"{article(much.strip() + ' ') if much == 'somewhat ' else 'a '}brighter "
                        f"{place.removeprefix('the ')}".replace("  ", " ")]),
            0, 0.6 if strong else 0.45))  # fmt: skip
    facts.append(_pick(
        rng, m.brightness,
        (0.27, 0, 0.5, [("the light is dim", "dim light"),
                        ("dark tones set the key", "a low-key rendering"),
                        ("most of the scene lies in the dark", "darkness over most of the scene")]),
        (0.4, 0, 0.25, [("the light is subdued", "subdued light"),
                        ("darker tones prevail", "prevailing darker tones"),
                        ("the light is held back", "restrained light")]),
        (0.6, 1, 0.25, [("the amount of light is pleasant", "a pleasant amount of light"),
                        ("brightness is well balanced", "well-balanced brightness"),
                        ("light and dark keep a good balance", "a good balance of light and dark")]),
        (0.78, 0, 0.35, [("the scene is bright", "a bright scene"),
                         ("the light is plentiful", "plentiful light"),
                         ("bright tones prevail", "prevailing bright tones")]),
        (_ALL, -1, 0.6, [("light floods the frame", "glaring light"),
                         ("bright tones leave little substance", "bleached light"),
                         ("the key is extremely high", "an extremely high key")]),
    ))  # fmt: skip
    facts.append(_pick(
        rng, m.contrast,
        (0.1, -1, 0.45, [("the light is flat", "flat light"),
                         ("shadows hardly model the scene", "hardly any modelling shadows"),
                         ("light and shade are close together", "faint shading")]),
        (0.19, 0, 0.25, [("the light is soft", "soft light"),
                         ("shading is gentle", "gentle shading"),
                         ("shadows are mild", "mild shadows")]),
        (0.26, 1, 0.35, [("light and shade model the scene", "modelling light and shade"),
                         ("shadows are distinct", "distinct shadows"),
                         ("the shading is lively", "lively shading")]),
        (_ALL, 0, 0.5, [("the light is hard", "hard light"),
                        ("deep shade meets bright light", "deep shade beside bright light"),
                        ("light and shadow contrast starkly", "stark light and shadow")]),
    ))  # fmt: skip
    facts += [fact for fact in _clipped(m, rng) if fact.tone < 0]
    return facts


def harmony(m: Measurements, rng: Random) -> list[Fact]:
    """How well the hues go together, and by which scheme."""
    if not m.colours:
        return [
            Fact(rng.choice(["with next to no colour, nothing clashes",
                             "the near absence of colour keeps everything in unison"]),
                 rng.choice(["an absence of clashing hues", "a unison of greys"]), 0, 0.4),
            *colour(m, rng)[:1],
        ]  # fmt: skip
    facts = [
        _pick(
            rng, m.harmony,
            (0.45, -1, 0.6, [("hues pull in different directions", "competing hues"),
                             ("the colours do not settle into one scheme", "scattered hues")]),
            (0.72, 0, 0.3, [("hues go together fairly well", "fairly compatible hues"),
                            ("most of the colours fit one scheme", "mostly related colours")]),
            (0.9, 1, 0.4, [("hues go together well", "well-matched hues"),
                           ("the colours are in harmony", "harmonious colours"),
                           ("the palette hangs together", "a coherent palette")]),
            (_ALL, 1, 0.5, [("hues are in close harmony", "closely harmonious hues"),
                            ("the colours match throughout", "thoroughly matching colours"),
                            ("the palette is of one piece", "a unified palette")]),
        )
    ]  # fmt: skip
    scheme = {
        "monochromatic": ("a single hue family carries the picture", "a single hue family"),
        "analogous": ("neighbouring hues lie side by side", "neighbouring hues"),
        "complementary": ("two opposite hues face each other", "two opposite hues"),
        "right-angled": ("one hue is set off against a distant group", "two contrasting hue groups"),
        "split complementary": ("a group of related hues meets one opposite accent",
                                "related hues with one opposite accent"),
    }.get(m.scheme)  # fmt: skip
    if scheme:
        facts.append(Fact(
            rng.choice([scheme[0], f"the scheme is {m.scheme}"]),
            rng.choice([scheme[1], f"{article(m.scheme)} colour scheme"]), 0, 0.4))  # fmt: skip
    return facts + palette(m, rng)


def depth(m: Measurements, rng: Random) -> list[Fact]:
    """How much sharpness varies, and whether the centre is the sharper part."""
    facts = [
        _pick(
            rng, m.depth,
            (0.95, 0, 0.3, [("sharpness is the same everywhere", "uniform sharpness"),
                            ("everything is rendered in one plane of focus", "a single focus depth"),
                            ("no part is set apart by focus", "no separation by focus")]),
            (1.45, 0, 0.2, [("sharpness varies only a little", "slightly varying sharpness"),
                            ("depth is hinted at by small changes in focus", "a hint of depth"),
                            ("most parts share the same focus", "largely even focus")]),
            (1.9, 1, 0.4, [("sharp parts stand out from softer ones", "sharp beside soft parts"),
                           ("focus separates near from far", "a moderate depth-of-field effect"),
                           ("changes in focus give the scene depth", "focus that suggests depth")]),
            (_ALL, 1, 0.7, [("a shallow depth of field sets the subject apart",
                             "a shallow depth of field"),
                            ("sharp parts are set against a strongly blurred remainder",
                             "a strongly blurred remainder around sharp parts"),
                            ("focus isolates a small part of the scene", "isolating focus")]),
        ),
        _pick(
            rng, m.focus_on_centre,
            (-0.2, 0, 0.4, [("the surroundings hold more detail than the middle",
                             "more detail at the borders than in the middle"),
                            ("detail lies towards the borders", "detail towards the borders")]),
            (0.15, 0, 0.15, [("detail is spread evenly from the middle to the borders",
                              "evenly spread detail"),
                             ("middle and borders are equally detailed",
                              "equal detail in the middle and at the borders")]),
            (0.4, 1, 0.35, [("the middle is more detailed than its surroundings",
                             "more detail in the middle"),
                            ("detail concentrates towards the centre", "detail in the centre")]),
            (_ALL, 1, 0.6, [("nearly all detail sits in the middle",
                             "detail concentrated in the middle"),
                            ("the centre stands out against plain surroundings",
                             "a detailed centre in plain surroundings")]),
        ),
    ]  # fmt: skip
    width = number_word(max(1, 2.56 * m.softest_blur))
    facts.append(Fact(
        rng.choice([f"the softer edges are about {width} pixels wide" if width != "one" else
                    "even the softer edges are only a pixel wide",
                    "the sharpest edges are "
                    + ("crisp" if m.sharpest_blur < 0.7 else
                       "slightly soft" if m.sharpest_blur < 1.1 else "blurred themselves")]),
        "crisp edges where it is sharpest" if m.sharpest_blur < 0.7
        else "slight softness even where it is sharpest" if m.sharpest_blur < 1.1
        else "no truly sharp edge", 0 if m.sharpest_blur < 1.1 else -1, 0.25))  # fmt: skip
    return facts


def simplicity(m: Measurements, rng: Random) -> list[Fact]:
    """How busy the frame is."""
    facts = [
        _pick(
            rng, m.edges,
            (0.07, 1, 0.5, [("the scene is simple", "a simple scene"),
                            ("large areas are left empty", "large empty areas"),
                            ("very few lines interrupt the surfaces", "very few lines")]),
            (0.18, 1, 0.35, [("the scene is uncluttered", "an uncluttered scene"),
                             ("the frame is calm", "a calm frame"),
                             ("plain areas outweigh the details", "plenty of calm areas")]),
            (0.32, 0, 0.25, [("the scene holds a moderate amount of detail",
                              "a moderate amount of detail"),
                             ("calm and busy areas balance out", "a mix of calm and busy areas"),
                             ("the frame is neither bare nor crowded", "an average density")]),
            (0.5, -1, 0.4, [("the scene is busy", "a busy scene"),
                            ("many details compete for attention", "many competing details"),
                            ("edges fill much of the frame", "a dense pattern of edges")]),
            (_ALL, -1, 0.6, [("the scene is crowded with detail", "a crowded scene"),
                             ("hardly any calm area is left", "hardly any calm area"),
                             ("detail covers nearly everything", "detail nearly everywhere")]),
        )
    ]  # fmt: skip
    part = share_words(m.edges, rng)
    facts.append(Fact(
        rng.choice([f"edges run through {part} of the frame",
                    f"{part} of the pixels lie on an edge"]),
        rng.choice([f"edges through {part} of the frame", f"edges on {part} of the area"]),
        0, 0.2))  # fmt: skip
    if m.subject_spread < 0.33:
        facts.append(Fact(
            rng.choice(["attention is gathered in one place", "one compact area stands out"]),
            rng.choice(["one compact centre of attention", "a single focus of attention"]),
            1, 0.5))  # fmt: skip
    else:
        facts.append(Fact(
            rng.choice(["attention is spread over the frame", "no single area claims attention"]),
            rng.choice(["attention spread over the frame", "no single centre of attention"]),
            0, 0.2))  # fmt: skip
    colours = len(m.colours)
    if colours:
        facts.append(Fact(
            rng.choice([f"{number_word(colours)} main colour{'s' * (colours > 1)} "
                        f"{'make' if colours > 1 else 'makes'} up the palette",
                        f"the palette comes down to {listed(m.colours)}"]),
            f"only {number_word(colours)} main colour{'s' * (colours > 1)}", 0, 0.25))  # fmt: skip
    return facts


CUES: dict[str, dict[str, Draw]] = {
    "quality": {
        "sharpness": sharpness,
        "noise": noise,
        "exposure": exposure,
        "contrast": contrast,
        "colour": colour,
        "compression": compression,
    },
    "aesthetic": {
        "composition": composition,
        "light": light,
        "colour": colour,
        "harmony": harmony,
        "depth": depth,
        "simplicity": simplicity,
    },
}
"""task → cue → what can be said about it; ``overall`` draws from all of a task's cues."""
