"""Words for aesthetics: composition, light, harmony, depth, simplicity (and colour).

Each function draws facts about one cue; what they state follows from the measurements alone.
"""

from __future__ import annotations

from random import Random

from curation.measuring.measure import Measurements
from curation.phrasing.lexicon import (
    EVER,
    Draw,
    Fact,
    article,
    listed,
    number_word,
    pick,
    share_words,
)
from curation.phrasing.lexicon_quality import clipped, colour, palette


def composition(m: Measurements, rng: Random) -> list[Fact]:
    """Where the salient mass lies, thirds, centre, symmetry, format."""
    place = m.subject_place
    where, side = {
        "upper": ("in", "the upper half"), "lower": ("in", "the lower half"),
        "left": ("on", "the left side"), "right": ("on", "the right side"),
    }.get(place, ("in", f"the {place}"))  # fmt: skip
    facts = [Fact(
        rng.choice([f"visual weight gathers {where} {side}", f"the main weight lies {where} {side}",
                    f"the eye is drawn to {side}"] if place != "centre" else
                   ["visual weight is balanced around the centre",
                    "the main weight rests in the middle", "the sides carry equal weight"]),
        rng.choice([f"visual weight {where} {side}", f"emphasis on {side}"] if place != "centre"
                   else ["well-balanced visual weight", "visual weight in the middle"]),
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
    facts.append(pick(
        rng, m.symmetry,
        (0.0, 0, 0.35, [("left and right are opposites in tone", "contrasting halves"),
                        ("the two halves differ strongly", "strongly differing halves"),
                        ("the layout is asymmetrical", "an asymmetrical layout")]),
        (0.35, 0, 0.15, [("there is little symmetry", "little symmetry"),
                         ("the two halves have little in common", "dissimilar halves"),
                         ("the arrangement is loose", "a loose arrangement")]),
        (0.65, 1, 0.3, [("left and right echo each other", "halves that echo each other"),
                        ("the layout is fairly symmetrical", "a fairly symmetrical layout"),
                        ("a moderate symmetry ties the halves together", "moderate symmetry")]),
        (EVER, 1, 0.6, [("left and right mirror each other", "mirrored halves"),
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
    facts.append(pick(
        rng, m.brightness,
        (0.27, 0, 0.5, [("the light is dim", "dim light"),
                        ("dark tones set the key", "a low-key rendering"),
                        ("most of the scene lies in the dark", "darkness over most of the scene")]),
        (0.4, 0, 0.25, [("the light is subdued", "subdued light"),
                        ("darker tones prevail", "prevailing darker tones"),
                        ("the light is held back", "restrained light")]),
        (0.6, 1, 0.25, [("the amount of light is pleasant", "a pleasant amount of light"),
                        ("brightness is well balanced", "well-balanced brightness"),
                        ("light and dark are in balance", "a pleasing balance of light and dark")]),
        (0.78, 0, 0.35, [("the scene is bright", "a bright scene"),
                         ("the light is plentiful", "plentiful light"),
                         ("bright tones prevail", "prevailing bright tones")]),
        (EVER, -1, 0.6, [("light floods the frame", "glaring light"),
                         ("bright tones leave little substance", "bleached light"),
                         ("the key is extremely high", "an extremely high key")]),
    ))  # fmt: skip
    facts.append(pick(
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
        (EVER, 0, 0.5, [("the light is hard", "hard light"),
                        ("deep shade meets bright light", "deep shade beside bright light"),
                        ("light and shadow contrast starkly", "stark light and shadow")]),
    ))  # fmt: skip
    facts += [fact for fact in clipped(m, rng) if fact.tone < 0]
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
        pick(
            rng, m.harmony,
            (0.45, -1, 0.6, [("hues pull in different directions", "competing hues"),
                             ("the colours do not settle into one scheme", "scattered hues")]),
            (0.72, 0, 0.3, [("hues mostly go together", "mostly compatible hues"),
                            ("most of the colours fit one scheme", "mostly related colours")]),
            (0.9, 1, 0.4, [("hues go together well", "well-matched hues"),
                           ("the colours are in harmony", "harmonious colours"),
                           ("the palette hangs together", "a coherent palette")]),
            (EVER, 1, 0.5, [("hues are in close harmony", "closely harmonious hues"),
                            ("the colours match throughout", "thoroughly matching colours"),
                            ("the palette is of one piece", "a unified palette")]),
        )
    ]  # fmt: skip
    scheme = {
        "monochromatic": ("a single hue family carries the picture", "a single hue family"),
        "analogous": ("neighbouring hues lie side by side", "neighbouring hues"),
        "complementary": ("two opposite hues face each other", "two opposite hues"),
        "right-angled": ("one hue is set off against a distant group", "contrasting hue groups"),
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
        pick(
            rng, m.depth,
            (0.95, 0, 0.3, [("sharpness is the same everywhere", "uniform sharpness"),
                            ("everything lies in one plane of focus", "a single focus depth"),
                            ("no part is set apart by focus", "no separation by focus")]),
            (1.45, 0, 0.2, [("sharpness varies only a little", "slightly varying sharpness"),
                            ("depth is hinted at by small changes in focus", "a hint of depth"),
                            ("most parts share the same focus", "largely even focus")]),
            (1.9, 1, 0.4, [("sharp parts stand out from softer ones", "sharp beside soft parts"),
                           ("focus separates near from far", "a moderate depth-of-field effect"),
                           ("changes in focus give the scene depth", "focus that suggests depth")]),
            (EVER, 1, 0.7, [("a shallow depth of field sets the subject apart",
                             "a shallow depth of field"),
                            ("sharp parts are set against a strongly blurred remainder",
                             "a strongly blurred remainder around sharp parts"),
                            ("focus isolates a small part of the scene", "isolating focus")]),
        ),
        pick(
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
            (EVER, 1, 0.6, [("nearly all detail sits in the middle",
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
        pick(
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
            (EVER, -1, 0.6, [("the scene is crowded with detail", "a crowded scene"),
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


AESTHETIC: dict[str, Draw] = {
    "composition": composition,
    "light": light,
    "colour": colour,
    "harmony": harmony,
    "depth": depth,
    "simplicity": simplicity,
}
"""cue → what can be said about it."""
