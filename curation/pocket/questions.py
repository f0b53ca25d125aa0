"""Questions a pocket model is taught to answer: the shipped wordings and many paraphrases.

Half of the questions are those that `generate` will ask; the others keep a model from learning
them by heart. Must not know what the photo shows.
"""

from __future__ import annotations

from functools import cache
from random import Random

from curation.pocket.wording import vary, with_article
from curation.prompts import PromptLibrary, TaskPrompts

SHORT_SYSTEMS = {
    "quality": (
        "You judge the technical quality of photos.",
        "You are an image quality inspector.",
        "Answer as an inspector of technical quality, in plain English.",
    ),
    "aesthetic": (
        "You judge the beauty of photos.",
        "You are a photo critic.",
        "Answer as a critic of aesthetics, in plain English.",
    ),
}
"""System messages that say the task and little more."""

_TOPICS = {
    "quality": {
        "overall": "the [technical|overall] quality / the quality and its distortions"
                   " / strengths and distortions / the technical side",
        "sharpness": "[the|] sharpness / focus and [detail|fine detail] / [blur|sharpness] and"
                     " detail / the edges and textures",
        "noise": "[the|] noise / noise and grain / the grain in [smooth|flat] areas / noise in"
                 " the shadows",
        "exposure": "[the|] exposure / [highlights|exposure] and shadows / bright and dark areas",
        "contrast": "[the|] contrast / the tonal range / contrast and tones",
        "colour": "[the|] colour rendering / [colour cast|white balance] and saturation"
                  " / how natural the colours are",
        "compression": "[the|] compression / compression artefacts / blocks and banding"
                       " / what compression has done",
    },
    "aesthetic": {
        "overall": "the [aesthetics|beauty] / composition, light and colour / the aesthetic side",
        "composition": "[the|] composition / framing and balance / the framing / where the eye"
                       " goes",
        "light": "[the|] light / light and mood / direction and mood of the light",
        "colour": "the [palette|colour palette] / palette and colour mood / how the colours"
                  " harmonise",
        "depth": "[the|] depth / depth of field / subject and background / how deep the space is",
        "simplicity": "[the|] simplicity / clutter and simplicity / how [busy|cluttered] it is",
        "harmony": "[the|] harmony / symmetry and rhythm / harmony and tension / how the parts"
                   " fit together",
    },
}  # fmt: skip

# {t} is a topic, {photo} a word for the photo.
_REQUESTS = (
    "[Describe|Judge|Assess|Explain] {t} in this {photo}. / [Describe|Judge|Assess] this"
    " {photo}: {t}."
    " / What do you [see|find|notice] about {t} in this {photo}? / What can you say about {t}"
    " [here|in this {photo}]?"
    " / Look at {t} [only|in this {photo}]. What do you [see|find|notice]? / Say"
    " [something|more] about {t}."
    " / Look at this {photo} and [say something about|describe|judge] {t}."
    " / How would you [describe|judge] {t} [here|in this {photo}]?"
)
_PHOTO = "[photo|picture|image|photograph]"
_GIVEN = {
    "quality": "The [|technical |overall ]quality is {x}. / The quality [was|is] rated as {x}."
               " / Viewers [rated|found|judged] the quality {x}."
               " / Technically it is {a x} [photo|picture|image|photograph].",
    "aesthetic": "The aesthetic [quality|impression] is {x}. / The beauty [was|is] rated as {x}."
                 " / Viewers [rated|found|judged] the beauty {x}. / As a photograph it is {x}.",
}  # fmt: skip
# What a ratings table may call a fault.
_KNOWN = {
    "blur": "blur / Gaussian blur / lens blur / a [soft|blurred] focus",
    "motion_blur": "motion blur / camera shake",
    "downscale": "a low resolution / upscaling / downscaling",
    "noise": "noise / white noise / [sensor|Gaussian] noise / grain",
    "compression": "JPEG compression / compression / compression artefacts",
    "banding": "banding / quantisation",
    "underexposure": "underexposure / a dark exposure",
    "overexposure": "overexposure / a bright exposure",
    "low_contrast": "low contrast / a contrast change",
    "desaturation": "desaturation / weak colours",
    "oversaturation": "oversaturation / colour saturation",
    "colour_cast": "a colour cast / a colour shift",
}
_TASK_SAID = {
    "quality": "[Technical quality|Image quality|Judge technical quality]:"
               " / As a quality inspector: / In technical terms:",
    "aesthetic": "[Aesthetics|Photo critique|Judge aesthetics]: / As a photo critic: / In"
                 " aesthetic terms:",
}  # fmt: skip

HELD_OUT: tuple[tuple[str, str, str], ...] = (
    ("quality", "overall", "Is anything technically wrong with this photo?"),
    ("quality", "overall", "Which distortions lower the quality of this image most?"),
    ("quality", "sharpness", "Are the edges in this picture crisp or blurred?"),
    ("quality", "sharpness", "Give your view of focus and sharpness here."),
    ("quality", "noise", "Is there grain in this photo?"),
    ("quality", "noise", "How clean are the flat areas of this image?"),
    ("quality", "exposure", "Is the exposure of this picture too dark or too bright?"),
    ("quality", "contrast", "Does the contrast look flat or harsh?"),
    ("quality", "colour", "Are the colours of this image natural, or is there a colour cast?"),
    ("quality", "compression", "Has compression left blocks or banding in this image?"),
    ("aesthetic", "overall", "What makes this photo more or less beautiful?"),
    ("aesthetic", "overall", "Give your view of the aesthetics of this picture."),
    ("aesthetic", "composition", "Where does the composition lead the eye?"),
    ("aesthetic", "composition", "Give your view of framing and balance."),
    ("aesthetic", "light", "What mood does the light give this picture?"),
    ("aesthetic", "colour", "Which palette does this photo use?"),
    ("aesthetic", "depth", "Does the subject stand out from the background?"),
    ("aesthetic", "simplicity", "Is the frame simple or busy?"),
    ("aesthetic", "harmony", "Do the parts of this picture form one harmony?"),
    ("aesthetic", "harmony", "Is there symmetry in this photograph?"),
)
"""(task, cue, question) for evaluation: wordings that `question` never yields."""

_HELD_OUT_TEXTS = frozenset(text for _, _, text in HELD_OUT)


def question(task: str, cue: str, level: str, rng: Random, *, fault: str = "") -> tuple[str, str]:
    """A system message (maybe empty) and a question about one cue, with the level if there is one.

    A `fault` is told besides, in the library's words for what is known of a photo.

    Half of the time both are the shipped library's. Otherwise the question is a paraphrase, with
    the library's system message, a shorter one or none; where there is none, the question itself
    says the task.
    """
    prompts = _library()[task]
    told = ""
    if fault:
        told = " " + rng.choice(prompts.known).replace("{known}", vary(_KNOWN[fault], rng))
    if rng.random() < 0.5:
        known = prompts.cues[cue]
        text = rng.choice(known.guided if level else known.unguided)
        return prompts.system.strip(), (text.format(level=level) if level else text) + told
    share = rng.random()
    system = (
        prompts.system.strip() if share < 0.6
        else rng.choice(SHORT_SYSTEMS[task]) if share < 0.8
        else ""
    )  # fmt: skip
    while True:
        text = _paraphrase(task, cue, level, not system, rng)
        if text not in _HELD_OUT_TEXTS:
            return system, text + told


def level_question(task: str, rng: Random) -> tuple[str, str]:
    """A question that asks for a level, and how its answer starts, both the library's."""
    cue = rng.choice(list(_library()[task].level_cues.values()))
    return rng.choice(cue.unguided), cue.answer_start


def _paraphrase(task: str, cue: str, level: str, alone: bool, rng: Random) -> str:
    topic = vary(_TOPICS[task][cue], rng)
    photo = vary(_PHOTO, rng)
    text = vary(_REQUESTS, rng).replace("{t}", topic).replace("{photo}", photo)
    if level:
        given = vary(_GIVEN[task], rng).replace("{a x}", with_article(level)).replace("{x}", level)
        text = f"{given} {text}" if rng.random() < 0.7 else f"{text} {given}"
    return f"{vary(_TASK_SAID[task], rng)} {text}" if alone else text


@cache
def _library() -> dict[str, TaskPrompts]:
    return PromptLibrary().tasks
