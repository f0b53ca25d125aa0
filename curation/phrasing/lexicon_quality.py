"""Words for technical quality: sharpness, noise, exposure, contrast, colour, compression.

Each function draws facts about one cue; what they state follows from the measurements alone.
"""

from __future__ import annotations

from random import Random

from curation.measuring.measure import Measurements, fault_severities
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


def sharpness(m: Measurements, rng: Random) -> list[Fact]:
    """Edges, fine texture, resolution that is really there."""
    width = number_word(max(1, 2.56 * m.focus))
    pixels = "a single pixel" if width == "one" else f"{width} pixels"
    about = rng.choice(["about", "around", "roughly"])
    facts = [
        pick(
            rng, m.focus,
            (0.62, 1, 0.6, [("edges are razor-sharp", "razor-sharp edges"),
                            ("contours are extremely crisp", "extremely crisp contours"),
                            ("every edge is cleanly cut", "cleanly cut edges"),
                            ("focus is spot-on", "spot-on focus")]),
            (0.9, 1, 0.5, [("edges are crisp", "crisp edges"),
                           ("contours are sharp", "sharp contours"),
                           ("outlines are clear and well defined", "well-defined outlines"),
                           ("the focus is accurate", "accurate focus")]),
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
            (EVER, -1, 1.0, [("edges are heavily blurred", "heavily blurred edges"),
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
        pick(
            rng, m.fine_detail,
            (-2.0, -1, 0.7, [("fine texture is gone", "no fine texture"),
                             ("small details are wiped out", "wiped-out small details"),
                             ("surfaces have lost their structure", "bare, smooth surfaces")]),
            (-0.8, -1, 0.5, [("fine texture is thin", "thinned-out texture"),
                             ("small details are partly lost", "partly lost small details"),
                             ("the finest structures are smoothed over", "smoothed-over detail")]),
            (0.1, 0, 0.2, [("fine texture is mostly kept", "mostly intact texture"),
                           ("small details hold up fairly well", "fairly well-kept small details"),
                           ("most fine structure survives", "most of the fine detail")]),
            (EVER, 1, 0.4, [("fine texture is preserved", "well-preserved texture"),
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
        pick(
            rng, m.noise,
            (0.9, 1, 0.35, [("no noise is visible", "no visible noise"),
                            ("smooth areas are perfectly clean", "perfectly clean smooth areas"),
                            ("flat areas are free of grain", "grain-free flat areas"),
                            ("calm surfaces show no speckle", "no speckle in calm areas")]),
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
            (EVER, -1, 1.0, [("noise is heavy everywhere", "heavy noise"),
                             ("coarse grain swamps the smooth areas", "coarse grain"),
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
        pick(
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
                              ("midtones are lifted towards white", "pale midtones")]),
            (EVER, -1, 0.95, [("the frame is almost white", "an almost white frame"),
                              ("exposure is far too high", "a strong excess of light"),
                              ("most of the picture is bleached", "bleached tones")]),
        )
    ]  # fmt: skip
    facts += clipped(m, rng)
    where = share_words(m.brightness, rng)
    tone = facts[0].tone
    facts.append(Fact(
        rng.choice([f"average brightness lies at {where} of the scale",
                    f"the mean tone sits at {where} of full white"]),
        rng.choice([f"an average brightness of {where} of full white",
                    f"a mean tone at {where} of the scale"]), tone, 0.15,
    ))  # fmt: skip
    return facts


def clipped(m: Measurements, rng: Random) -> list[Fact]:
    """What is lost at both ends of the tones."""
    facts = []
    frame = rng.choice(["the frame", "the picture", "the area"])
    if m.highlights >= 0.015:
        part = share_words(m.highlights, rng)
        facts.append(Fact(
            rng.choice([f"{part} of {frame} is burnt out to white",
                        f"highlights are clipped in {part} of {frame}",
                        f"{part} of {frame} has lost its highlights"]),
            rng.choice([f"clipped highlights in {part} of {frame}",
                        f"empty white highlights over {part} of {frame}"]),
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
                        "nothing burns out or blocks up"]),
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
        pick(
            rng, m.contrast,
            (0.07, -1, 0.9, [("contrast is very low", "very low contrast"),
                             ("the picture looks flat and veiled", "a veiled look"),
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
            (EVER, 0, 0.5, [("contrast is very high", "very high contrast"),
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
            rng.choice(["the gradations between light and dark are ordinary",
                        "gradations are neither rich nor sparse"]),
            rng.choice(["ordinary gradation", "an ordinary number of gradations"]), 0, 0.1,
        ))  # fmt: skip
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
        pick(
            rng, m.colourfulness,
            (12, -1, 0.55, [("colours are faded", "faded colours"),
                            ("the colours are drained and weak", "weak colours"),
                            ("very little colour is left", "very little colour")]),
            (26, 0, 0.3, [("colours are muted", "muted colours"),
                          ("the palette is subdued", "a subdued palette"),
                          ("colour is used sparingly", "sparing colour")]),
            (46, 1, 0.3, [("colours are natural in strength", "colours of natural strength"),
                          ("saturation is moderate", "moderate saturation"),
                          ("the palette is restrained but clear", "a clear and moderate palette")]),
            (75, 1, 0.45, [("colours are lively", "lively colours"),
                           ("the palette is rich", "a rich palette"),
                           ("colours are well saturated", "well-saturated colours")]),
            (EVER, 0, 0.6, [("colours are extremely vivid", "extremely vivid colours"),
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
        pick(
            rng, m.blockiness,
            (0.12, 1, 0.3, [("no block pattern is visible", "no block pattern"),
                            ("compression leaves no trace", "no traces of compression"),
                            ("the picture is free of blocking", "no blocking"),
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
            (EVER, -1, 1.0, [("severe compression breaks the picture into squares",
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
            rng.choice(["continuous tonal transitions", "smooth gradients"]), 1, 0.15,
        ))  # fmt: skip
    if m.blockiness >= 0.3 and m.fine_detail < -0.5:
        facts.append(Fact("fine detail is gone as well", "a loss of fine detail", -1, 0.3))
    return facts


QUALITY: dict[str, Draw] = {
    "sharpness": sharpness,
    "noise": noise,
    "exposure": exposure,
    "contrast": contrast,
    "colour": colour,
    "compression": compression,
}
"""cue → what can be said about it."""
