"""Words with which English states that a photo is blurred, noisy, dark … or is not.

Data only, for `curation.claims`. Phrases stand between commas, in lower case, British spelling,
hyphens as spaces; plurals in -s are found by their singular. Must not know how they are read.
"""

from __future__ import annotations


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split(",") if phrase.strip())


FAULT_NOUNS: dict[str, tuple[str, ...]] = {
    "blur": _phrases("""
        blur, blurring, blurriness, softness, fuzziness, unsharpness, defocus, motion blur,
        camera shake, hand shake, shake, camera movement, movement of the camera,
        smear, smearing, smudging, focus error, focus loss, missed focus, loss of focus,
        movement blur, lens blur, focus blur, streaks, movement smear, camera wobble, hand wobble,
        loss of sharpness, resolution loss, upscaling, enlargement softness,
        loss of detail, loss of fine detail, directional smear, movement trails
    """),
    "noise": _phrases("""
        noise, grain, graininess, speckle, speckling, specks, sensor noise, digital noise,
        image noise, colour noise, chroma noise, luminance noise, film grain, grit, mottling,
        pixel noise, gritty noise, iso noise, random dots, coloured dots
    """),
    "compression": _phrases("""
        artefact, compression, blocking, blockiness, macroblocking, macroblock, pixelation,
        pixelisation, pixellation, pixelization, compression artefact, compression damage,
        compression loss, jpeg compression, jpeg artefact, jpeg artefacting, artefacting,
        jpeg damage, jpeg block, jpeg compression artefact, blocking artefact, coding block,
        compression block, block pattern, block grid, block structure, blocky pattern,
        blocky artefact, coding artefact, codec damage, ringing, mosquito noise,
        square blocking, pixel block, blocks are apparent, blocks are visible, visible block,
        mosaic, squares are visible, visible square, blocking pattern, block edge,
        block boundary, 8x8 block
    """),
    "banding": _phrases("banding, posterisation, posterization, colour banding, tonal stairs"),
    "underexposed": _phrases("""
        underexposure, under exposure, lack of light, lack of exposure, insufficient exposure,
        exposure deficit, exposure shortage, missing exposure, starved exposure, underlighting,
        missing brightness
    """),
    "overexposed": _phrases("""
        overexposure, over exposure, excess light, excess brightness, excessive exposure,
        surplus exposure, exposure overshoot, overlighting, burnt out brightness
    """),
    "highlights": _phrases("""
        blown highlight, clipped highlight, burnt highlight, burnt out highlight,
        blown out highlight, burned highlight, highlight clipping, blown white, clipped white,
        burnt out white, scorched white, burnt out area, blown out area, loss of highlight detail,
        bleached highlight
    """),
    "shadows": _phrases("""
        crushed black, crushed shadow, blocked shadow, blocked up shadow, clipped shadow,
        clipped black, shadow clipping
    """),
    "dark": _phrases("darkness, gloom, murk, murkiness, dimness, blackness, excess darkness"),
    "faulty": _phrases("fault, flaw, distortion, defect, degradation, technical fault, damage"),
    "flat": _phrases("""
        greyness, flatness, tonal flatness, contrast loss, loss of contrast, veil, haze,
        veiled contrast,
        missing contrast, missing punch, milky haze, tone flatness
    """),
    "pale": _phrases("""
        desaturation, colour loss, loss of colour, faded colour, drained colour, washed out colour,
        undersaturation, bleached colour, greyed colour, missing saturation, colour shortage, fading
    """),
    "vivid": _phrases("""
        oversaturation, over saturation, excessive saturation, garish colour, overcooked colour,
        exaggerated saturation, neon colour, loud colour, pushed saturation, glaring colour,
        colour overload, colour excess
    """),
    "cast": _phrases("""
        cast, colour cast, tint, tinge, colour shift, discolouration, colour imbalance,
        colour tint, white balance error, tinting, skewed white balance, colour drift, toning
    """),
}
"""Property → nouns that name it: that they are mentioned says that it is there."""

QUALITY_NOUNS: dict[str, tuple[str, ...]] = {
    "blur": _phrases("""
        sharpness, clarity, definition, detail, fine detail, small detail, crispness, acuity,
        resolution, focus, focusing, texture, fine texture, fine structure, fine line, edge,
        contour, outline, image sharpness, detail rendering, structure, effective resolution
    """),
    "flat": _phrases("""
        contrast, tonal range, dynamic range, tonal contrast, punch, overall contrast,
        contrast range, tonality, contrast level
    """),
    "pale": _phrases("""
        saturation, colour, vibrancy, vibrance, vividness, colour intensity, colour saturation,
        hue, palette, colour palette, colouration, colourfulness, tone and hue
    """),
    "cast": _phrases("""
        white balance, colour balance, colour rendition, colour reproduction, colour accuracy,
        neutral tone, white, grey, grey tone
    """),
    "misexposed": _phrases("exposure"),
    "brightness": _phrases("brightness, overall brightness, brightness level, luminosity"),
    "lighting": _phrases("lighting, illumination, light"),
}
"""Property whose opposite they name → nouns that claim nothing unless an amount goes with them."""

# Amounts that a quality noun can have; what is said of nouns that stand for a fault comes below.
LOW = frozenset(
    """
    low lower lowest poor weak bad limited reduced insufficient narrow inadequate deficient
    mediocre lost gone vanished vanish lacking lacks missing disappear disappears disappeared
    vanishes dissolve dissolves dissolved smeared smudged mushy indistinct blurred blurry fuzzy
    unclear hidden hides hide swallowed swallows swallow eaten eats obscured obscures off missed
    terrible awful horrible subpar lousy feeble minimal soft wiped suffers suffer thin short
    inaccurate wrong incorrect unbalanced skewed lose loses losing nonexistent absent sparse crude
    smoothed washed compromised degraded below lackluster lacklustre scarce unresolved ruined
    destroyed bare desired
    """.split()
)
HIGH = frozenset(
    """
    high good great excellent strong perfect superb outstanding impressive remarkable rich plenty
    wide spot crisp sharp clear accurate best fantastic wonderful preserved intact kept retained
    resolved amazing brilliant exceptional superior fabulous clean correct right
    proper well beautiful ample abundant abundance wealth full lovely pronounced nice stunning
    razor tack nailed precise pin exact ideal striking solid defined distinct discernible
    faithful balanced neutral true natural optimal appropriate judged vigorous firm harsh
    steep punchy bold high sharply clearly wonderfully beautifully extensive broad deep
    """.split()
)
WIDTH = frozenset("wide broad extensive harsh steep deep full".split())
"""Amounts that only contrast can have: an edge that is wide is not a sharp one."""
HIDING = frozenset("hides hide hidden swallows swallow eats eaten obscures suffers suffer".split())
"""What a noun does to others when it stands before the word, and suffers when behind it."""
MEDIUM = frozenset(
    """
    moderate acceptable fair average adequate reasonable ordinary decent medium okay ok standard
    fairly reasonably sufficient satisfactory usable measured restrained
    """.split()
)
EXCESS = frozenset(
    "excessive too overdone exaggerated overly pushed cranked boosted unnatural artificial".split()
)

# Amounts of a fault.
FAULT_ABSENT = frozenset(
    """
    absent none no zero invisible undetectable imperceptible negligible minimal controlled
    suppressed insignificant below unnoticeable eliminated removed low missing reduced avoided
    handled nonexistent
    """.split()
)
HEAVY = frozenset(
    """
    strong heavy severe excessive obvious significant major much extreme pronounced serious
    """.split()
)
"""What is denied of a fault together with one of these may still be there a little."""
FAULT_MILD = frozenset(
    """
    slight slightly mild mildly faint faintly bit touch hint trace traces minor subtle some light
    tad somewhat mostly gentle modest small tiny fine lightly few little rather certain hints
    """.split()
)
STRONG = frozenset(
    """
    very extremely highly heavily severely strongly totally completely utterly far way much badly
    really terribly incredibly hopelessly pronounced heavy severe strong excessive excessively
    extreme lot lots massive massively intense obvious obviously tack razor perfectly excellent
    perfect entirely absolutely pin crystal deeply huge enormous amount ruined ruins ruin
    destroyed overly too dramatically drastically superb outstanding exceptional exceptionally
    remarkable remarkably wonderfully beautifully considerable considerably thoroughly coarse
    hell awfully horribly outright spot everywhere ugly brutal
    """.split()
)
MILD = frozenset(
    """
    slightly bit little somewhat touch tad mildly rather fairly relatively quite almost nearly
    mostly reasonably hint trace minor slight mild faint subtle barely generally overall
    partly partially moderately acceptably kinda muted subdued perfectly entirely
    """.split()
) - {"perfectly", "entirely", "overall", "generally", "quite", "barely"}

FAULT_WORDS: dict[str, tuple[str, ...]] = {
    "blur": _phrases("""
        blurry, blurred, unsharp, out of focus, unfocused, fuzzy, mushy, smeared, smudged, smudgy,
        defocused, soft focus, indistinct, streaked, ill defined, poorly defined, low resolution,
        low res, upscaled, oof, not in focus, off focus, unclear, blurs, bleed into one another,
        blur together, run into each other, softened, poorly focused, misfocused, under sharpened
    """),
    "noise": _phrases("noisy, grainy, speckled, gritty, mottled, sandy"),
    "compression": _phrases("""
        pixelated, pixellated, blocky, over compressed, overcompressed, jpegged,
        artefacted, compression damaged, low jpeg quality
    """),
    "banding": _phrases("posterised, posterized, banded"),
    "underexposed": _phrases("""
        underexposed, under exposed, underlit, poorly lit, dimly lit, badly lit, exposed too little,
        exposed too low, low key lighting, insufficiently lit, too little light, not enough light,
        under lit
    """),
    "overexposed": _phrases("""
        overexposed, over exposed, blown out, burnt out, burned out, too much light, exposed too
        much, over lit, overlit, bleached
    """),
    "bright": _phrases("flooded with light, bathed in light, brightly lit"),
    "highlights": _phrases("""
        highlight blown, highlight clipped, highlight are blown, highlight are clipped,
        highlight are burnt out, highlight are blown out, highlight are burned out,
        highlight are bleached, white are blown, white are clipped, sky is blown out,
        highlight are lost, highlight are fully clipped, highlight are completely clipped
    """),
    "flat": _phrases("""
        low contrast, contrastless, lifeless tone, tone sit close together,
        weak contrast, flat tonality, flat tone, flat look, dull veil
    """),
    "pale": _phrases("""
        desaturated, undersaturated, under saturated, colourless, low saturation, faded colour,
        washed out colour
    """),
    "grey": _phrases("""
        black and white, greyscale, grey scale, bw, b w, shades of grey
    """),
    "toneless": _phrases("monochrome, monochromatic"),
    "vivid": _phrases("""
        oversaturated, over saturated, overly saturated, garish, gaudy, hypersaturated,
        too saturated, neon like, overly vivid, overly vibrant, too vivid, overly intense
    """),
    "warm": _phrases("""
        warm tone, warm colour, warm hue, warm cast, warm tint, warm palette, warm white balance,
        warm light, warm tonality, warmer tone, too warm, warm toned
    """),
    "cool": _phrases("""
        cool tone, cool colour, cool hue, cool cast, cool tint, cool palette, cool white balance,
        cold tone, cold colour, cold cast, cool toned, too cold, cool light
    """),
}
"""Property → adjectives and phrases that say of themselves that it is there."""

SOUND_WORDS: dict[str, tuple[str, ...]] = {
    "blur": _phrases("""
        sharp, crisp, in focus, well focused, well defined, clearly defined, finely resolved,
        crystal clear, detailed, high resolution, high res, sharply, tack sharp, razor sharp,
        pin sharp, cleanly cut, finely detailed, highly detailed, in perfect focus,
        in sharp focus, crisply, pin point sharp, cleanly drawn, hi res, richly detailed
    """),
    "noise": _phrases("noiseless, grainless"),
    "faulty": _phrases("""
        flawless, faultless, unblemished, undisturbed rendering, clean rendering, clean file,
        sound file, healthy file, pristine
    """),
    "compression": _phrases("""
        uncompressed, artefactless, compression leaves no, compression has left no,
        compression left no, compression that leaves no
    """),
    "flat": _phrases("""
        contrasty, punchy, high contrast, deep black, rich black, true black, brilliant white,
        bright white, from black to white
    """),
    "pale": _phrases("""
        colourful, saturated, well saturated, highly saturated, vivid, vibrant, vividly coloured,
        burst of colour, bursts with colour, colour pop, riot of colour, vibrantly coloured
    """),
    "misexposed": _phrases("""
        well exposed, properly exposed, correctly exposed, perfectly exposed, nicely exposed,
        well lit, nicely lit, evenly exposed, beautifully exposed, evenly lit, perfectly lit,
        good exposure, nailed the exposure, neither over nor underexposed, beautifully lit,
        exposed properly, exposed correctly, exposed perfectly, exposed well,
        excellently exposed, superbly exposed
    """),
}
"""Property → adjectives and phrases that say that it is not there."""

# Adjectives that speak of a photo only when a photo, or one of these nouns, is what they are
# said of: property, polarity (+1 it is there), and the nouns besides the photo itself.
_TONES = "tone tonality midtone"
_COLOURS = "colour hue palette colouring"
_TEXTURES = "edge contour outline detail texture structure line feature focus"
OF_A_PHOTO: tuple[tuple[str, str, int, str], ...] = (
    ("dark dim murky gloomy darkish dusky pitch", "dark", 1, "lighting exposure"),
    ("bright airy", "bright", 1, "lighting exposure"),
    ("soft", "blur", 1, _TEXTURES),
    ("clear", "blur", -1, _TEXTURES),
    ("compressed", "compression", 1, "file"),
    ("mush", "blur", 1, _TEXTURES),
    ("flat veiled hazy", "flat", 1, f"{_TONES} contrast"),
    ("clean", "noise", -1, ""),
    ("clean silky spotless", "noise", -1, "=surface area"),
    ("rough restless", "noise", 1, "=surface area"),
    ("pale muted faded drained dull washed subdued lifeless greyish weak absent feeble", "pale",
     1, f"={_COLOURS}"),
    ("faded milky", "flat", 1, f"{_TONES} black"),
    ("rich lively intense brilliant strong bright bold deep fresh beautiful lush brilliantly",
     "pale", -1, f"={_COLOURS}"),
    ("neutral accurate", "cast", -1, f"={_COLOURS} white grey whitebalance"),
    ("blown clipped burnt burned", "highlights", 1, "=highlight white cloud"),
    ("crushed clipped", "shadows", 1, "=shadow black"),
    ("overdone artificial neon unnatural loud glaring", "vivid", 1, f"={_COLOURS}"),
)  # fmt: skip
"""`=` before the nouns: only of these, and not of the photo as a whole."""

PHOTO_NOUNS = frozenset(
    """
    image photo picture photograph shot frame pic capture snapshot photography it this everything
    all whole overall result rendering scene entire exposure view
    snap impression look appearance entirety nothing none they these file
    """.split()
)
SURFACES = frozenset("surface area sky region gradient tone shadow background".split())
FINE_THINGS = frozenset(
    """
    edge contour outline detail texture structure line feature transition object colour tone
    element surface area thing highlight shadow white black pixel hue palette tonality
    """.split()
)
"""What is everywhere in a photo: said of these, a thing is said of the photo."""

NAMED = frozenset(
    "tone colour hue cast tint palette balance light tonality black white contrast look".split()
)
"""A phrase that ends so names what it is said of."""

# Depth of field and movement that is meant: blur there is no fault, and sharpness no claim.
BACKGROUND = frozenset(
    """
    background backdrop bokeh foreground backgrounds behind distance depth dof shallow surroundings
    backround bg distant
    """.split()
)
MOVING = frozenset(
    """
    water waterfall wheel wheels wings hands dancers traffic rain river waves runner legs trails
    stars headlights crowd propeller
    """.split()
)
PLACES = frozenset(
    """
    corner corners left right upper lower top bottom centre middle subject face eye eyes sky
    person man woman child dog cat bird flower building portrait head hair skin
    """.split()
)

VISIBLE = frozenset(
    "visible present there made discernible recognisable seen noticeable found".split()
)
"""What is not so is not there."""

BETWEEN = frozenset(
    """
    smooth calm flat plain even fine small digital photographic overall technical modern natural
    outdoor indoor landscape portrait great good nice old whole entire single
    """.split()
)
"""Adjectives that may stand between another one and its noun."""

COPULAS = frozenset(
    """
    is are was were be been being looks look seems seem appears appear remains remain stays stay
    feels feel becomes became turned turns turn came comes come gets rendered appearing looking
    """.split()
)
NEGATORS = frozenset(
    """
    no not never without neither nor none nothing lack lacks lacking lacked cannot zero devoid free
    nowhere absence nobody cant dont doesnt isnt arent loses lose losing lost loss missing fail
    fails miss misses
    """.split()
)
NEARLY = frozenset("hardly barely scarcely little few".split())
DESIRES = frozenset(
    """
    could should would needs need needed wish want wants benefit benefits improve improved improves
    prefer try increase raise boost add 'd
    """.split()
)
MORE: dict[str, tuple[str, ...]] = {
    "blur": _phrases("""
        sharper, crisper, clearer, more sharpness, more detail, more clarity, sharpen, sharpened,
        better focus, better sharpness, more in focus, more definition, better resolution,
        higher resolution, better clarity, sharpness could be better, resolution could be better
    """),
    "noise": _phrases("less noise, less grain, noise reduction, cleaner, less noisy, less grainy"),
    "compression": _phrases("less compression, fewer artefacts"),
    "dark": _phrases("""
        brighter, lighter, more light, brighten, brightened, more exposure, brightening,
        more brightness, longer exposure, lighten
    """),
    "bright": _phrases("darker, less light, less exposure, darken, darkened, less bright"),
    "flat": _phrases("""
        more contrast, higher contrast, more punch, contrast boost, boost in contrast,
        better contrast, some contrast, punchier, stronger contrast, contrast increase
    """),
    "pale": _phrases("""
        more saturation, more colour, more saturated, more vivid, more vibrant, colour boost,
        better saturation, richer colour
    """),
    "vivid": _phrases("less saturation, less saturated, desaturate, less vivid"),
}
"""Property that is there → what one wishes for then."""

OTHER_SENSES = _phrases("""
    long exposure, double exposure, multiple exposure, sharp contrast, sharp bend, sharp turn,
    sharp eye, sharp teeth, sharp knife, sharp wit, sharp shadow, sharp corner, sharp angle,
    sharp drop, noise reduction software, grain of salt, grain of the wood, wood grain,
    grain of wood, block of flat, bright idea, bright future, bright side of life, soft light,
    soft lighting, softly lit, soft colour, soft tone, soft pastel, soft spot, soft drink,
    in the dark about, light and shadow, light and dark, dark to light, light to dark,
    bright and dark, dark and light, dark and bright, focus of the, focus on the,
    focus of this, focus is on,
    focuses on, main focus, the focus of, point of focus, focal point, no doubt, not only,
    not just, not to mention, no wonder, no matter, not sure, black and white striped,
    in black and white stripe, black and white cat, black and white dog, black and white cow,
    black and white photo album, zebra, colour contrast, contrast between, in contrast to,
    by contrast, in contrast, contrast with the, contrasts with the, makes a contrast,
    contrasts between, contrast of the, sense of depth, cast of, cast a shadow, casts a shadow,
    casting, cast shadow, long shadow, leading line, on the edge, edge of the frame,
    clear blue sky,
    clear sky, clear water, clean line, clean background, clean composition, clean design,
    white balance card, in detail, attention to detail, detail shot, white light, white dress,
    soft background, bright red, bright blue, bright green, bright yellow, bright orange,
    bright pink, dark blue, dark green, dark red, dark brown, light blue, light green,
    selective desaturation, selective colour, selective focus, blocking the, blocks the,
    natural light, golden hour, street light, traffic light, splash of colour,
    noise pollution, block of, building block, city block, warm smile, warm welcome, soft skin
""")
"""Phrases whose words mean something else, or nothing that can be measured: heard first."""

TINTS: dict[str, int] = {
    "red": 20, "reddish": 20, "orange": 60, "amber": 70, "yellow": 90, "yellowish": 90,
    "green": 140, "greenish": 140, "cyan": 200, "teal": 190, "blue": 265, "bluish": 265,
    "blueish": 265, "purple": 315, "purplish": 315, "magenta": 335, "pink": 350, "pinkish": 350,
    "violet": 310, "sepia": 75, "turquoise": 190,
}  # fmt: skip
"""Names of tints → CIELab hue angle in degrees, about the middle of what they are said of."""
