"""Names of the faults and of their strength, in both manners.

No name is shared between two kinds, so that `curation.pocket.listen` can read the kind back.
Every kind has as many names as *clean* has: a model that decodes greedily should not lean to
what has fewer synonyms. Must not know which fault a photo has.
"""

from __future__ import annotations

from random import Random

from curation.pocket.wording import Fact, vary, with_article

NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    # 'a *' marks a name that takes an article; {tint} is the colour of a cast.
    "a": {
        "blur": ("defocus", "out-of-focus softness", "missed focus", "focal softness",
                 "lens blur", "focus blur"),
        "motion_blur": ("motion blur", "camera shake", "directional smear", "movement trails",
                        "shutter smear", "streaked motion"),
        "downscale": ("low resolution", "enlargement softness", "interpolated structure",
                      "upscaling traces", "missing resolution", "pixel scarcity"),
        "noise": ("noise", "grain", "sensor noise", "film-like grain", "random speckle",
                  "shimmering noise"),
        "compression": ("compression artefacts", "coding blocks", "ringing artefacts",
                        "blocking artefacts", "block seams", "encoder traces"),
        "banding": ("banding", "posterised gradients", "stepped gradients", "tonal stairs",
                    "gradient bands", "visible tone bands"),
        "underexposure": ("underexposure", "insufficient exposure", "missing brightness",
                          "crushed darkness", "exposure deficit", "starved exposure"),
        "overexposure": ("overexposure", "excessive exposure", "bleached highlights",
                         "blown highlights", "burnt-out brightness", "surplus exposure"),
        "low_contrast": ("low contrast", "weak contrast", "tonal flatness", "veiled contrast",
                         "greyish haze", "feeble contrast"),
        "desaturation": ("desaturation", "faded colour", "drained colour", "washed-out colour",
                         "missing saturation", "bleached colour"),
        "oversaturation": ("oversaturation", "exaggerated saturation", "overcooked colour",
                           "excessive saturation", "garish colour", "glaring colour"),
        "colour_cast": ("a *colour cast", "{tint} tinting", "{tint} discolouration",
                        "{tint} toning", "skewed white balance", "colour imbalance"),
    },
    # Mass nouns all: they follow an amount ("a lot of").
    "b": {
        "blur": ("blur", "fuzziness", "focus loss", "focus error", "smudged focus", "lens fuzz"),
        "motion_blur": ("shake", "hand wobble", "movement smear", "shaky streaking",
                        "camera wobble", "sideways smear"),
        "downscale": ("upscaling", "pixel shortage", "resolution loss", "enlargement mush",
                      "stretched resolution", "low-res stretching"),
        "noise": ("graininess", "sensor hiss", "pixel noise", "speckling", "gritty noise",
                  "coarse grit"),
        "compression": ("JPEG damage", "blockiness", "compression mush", "codec damage",
                        "square blocking", "saving damage"),
        "banding": ("posterising", "gradient stepping", "tone stepping", "stair-step shading",
                    "striped shading", "band stepping"),
        "underexposure": ("murk", "murkiness", "missing exposure", "exposure shortage",
                          "excess darkness", "underlighting"),
        "overexposure": ("glare", "excess brightness", "exposure overshoot", "burnt-out white",
                         "overlighting", "scorched white"),
        "low_contrast": ("greyness", "missing punch", "contrast loss", "milky haze",
                         "tone flatness", "missing contrast"),
        "desaturation": ("colour loss", "fading", "weak saturation", "greyed colour",
                         "colour shortage", "thin colour"),
        "oversaturation": ("colour overload", "colour excess", "overboosting", "neon colour",
                           "pushed saturation", "loud colour"),
        "colour_cast": ("tinting", "{tint} staining", "white-balance error", "{tint} drift",
                        "colour drift", "{tint} spill"),
    },
}  # fmt: skip

CLEAN_NAMES = {
    "a": ("clean rendering", "flawless rendering", "undisturbed rendering", "faultless rendering",
          "unblemished rendering", "distortion-free rendering"),
    "b": ("a clean file", "a sound file", "a flawless file", "a healthy file", "an unharmed file",
          "a damage-free file"),
}  # fmt: skip

# Severity 1 to 5: how much a fault affects something, how visible it is, its adjective.
AFFECTS = (("barely", "hardly"), ("slightly", "mildly"), ("clearly", "noticeably"),
           ("strongly", "heavily"), ("severely", "drastically"))  # fmt: skip
VISIBLE = ("barely", "slightly", "clearly", "strongly", "extremely")
ADJECTIVES = (("faint", "minor"), ("slight", "mild"), ("clear", "noticeable"),
              ("strong", "heavy"), ("severe", "extreme"))  # fmt: skip
AMOUNTS = (("a trace of", "a hint of"), ("a little", "a bit of"),
           ("a visible amount of", "a clear amount of"), ("a lot of", "a great deal of"),
           ("a huge amount of", "an enormous amount of"))  # fmt: skip

_SOFT = ("the [outlines|contours] / every contour / the fine texture",
         "the [edges|lines] / the [small details|fine lines]")  # fmt: skip
_COLOUR = ("the whole frame / every surface / the entire rendering",
           "the [surfaces|materials] / all areas")  # fmt: skip

# What a fault shows in, per manner.
_WHERE = {
    "blur": _SOFT,
    "motion_blur": _SOFT,
    "downscale": _SOFT,
    "noise": ("the [calm|smooth] [surfaces|areas] / the darker tones",
              "the [flat|plain] [spots|parts] / the dark corners"),
    "compression": ("the finer structures / the entire rendering / the busier regions",
                    "the small shapes / the finer parts"),
    "banding": ("the [broad|gentle] transitions / the [broad|calm] surfaces",
                "the [slow|soft] transitions / the large areas"),
    "underexposure": ("the whole frame / the [shadows|shadow regions] / the entire rendering",
                      "the dark [parts|ends] / all areas"),
    "overexposure": ("the whole frame / the brightest regions / the entire rendering",
                     "the bright [parts|spots] / all areas"),
    "low_contrast": ("the whole frame / the tonal range / the entire rendering",
                     "the light and dark parts / all areas"),
    "desaturation": _COLOUR,
    "oversaturation": _COLOUR,
    "colour_cast": _COLOUR,
}  # fmt: skip


def fault_fact(kind: str, severity: int, tint: str, manner: str, rng: Random) -> Fact:
    """A fault with its strength, as a `Fact`; the name comes as early as the manner allows."""
    grade = min(max(severity, 1), 5) - 1
    names = NAMES[manner][kind]
    if tint == "neutral":
        names = tuple(name for name in names if "{tint}" not in name)
    first, second = (rng.choice(names).format(tint=tint) for _ in range(2))
    where = vary(_WHERE[kind]["ab".index(manner)], rng)
    if manner == "b":
        amount, other = rng.choice(AMOUNTS[grade]), rng.choice(AMOUNTS[grade])
        clause = vary(
            f"I [see|find|notice] {amount} {first} in {where} / I [see|find|notice] {amount}"
            f" {first}"
            f" / there is {amount} {first} in {where} / {where} [show|have] {amount} {first}"
            f" / it [shows|has] {amount} {first}",
            rng,
        )
        return Fact(clause, f"{other} {second}", -1)
    plural = is_plural(first)
    affects = rng.choice(AFFECTS[grade])
    clause = vary(
        f"{_bare(first)} {affects} [{'affect|mark|disturb' if plural else 'affects|marks|disturbs'}"
        f"] {where} / {_bare(first)} {'are' if plural else 'is'} {VISIBLE[grade]}"
        f" [visible|noticeable] [in {where}|]",
        rng,
    )
    noun = f"{rng.choice(ADJECTIVES[grade])} {second.removeprefix('a *')}"
    return Fact(clause, with_article(noun) if second.startswith("a *") else noun, -1)


def clean_fact(manner: str, rng: Random) -> Fact:
    """That no distortion is visible, as a `Fact`."""
    name, other = rng.choice(CLEAN_NAMES[manner]), rng.choice(CLEAN_NAMES[manner])
    if manner == "b":
        clause = vary(
            f"I [see|find|notice] {name} [here|without any damage]"
            f" / I [see|find|notice] {name} / there is [no damage|no fault] [in it|anywhere]"
            f" / it [shows|has] no [damage|fault] [at all|anywhere] / this is {name}",
            rng,
        )
        return Fact(clause, other, 1)
    clause = vary(
        # Twice the same, so that "no" begins hardly more clauses than one name of a fault does.
        f"{name} [marks|distinguishes] [the whole frame|every surface|the entire picture]"
        f" / {name} [marks|distinguishes] [the whole frame|every surface]"
        f" / {name} is [clearly|plainly] visible"
        f" / {name} is [clearly|plainly] [visible|noticeable] [throughout|]"
        " / no distortion [affects|marks|disturbs] [the whole frame|any surface|the picture]",
        rng,
    )
    return Fact(clause, other, 1)


def is_plural(name: str) -> bool:
    """Whether a name takes a plural verb: it ends in *s*, and not as *focus* or *softness* do."""
    return name.endswith("s") and not name.endswith(("ss", "us"))


def _bare(name: str) -> str:
    return with_article(name.removeprefix("a *")) if name.startswith("a *") else name
