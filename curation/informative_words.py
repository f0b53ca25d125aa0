"""Words with which people speak of how a photo looks, for `curation.informative`.

Data only. Phrases stand between commas, in lower case and American spelling; a plural is found by
its singular. Must not know how they are weighed.
"""

from __future__ import annotations


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split(",") if phrase.strip())


TELLING: dict[str, tuple[str, ...]] = {
    "sharpness": _phrases("""
        out of focus, not in focus, in focus, off focus, oof, unfocused, unsharp, blurry, blurred,
        sharp, sharper, sharpest, sharpness, sharpened, sharpening, oversharpened, over sharpened,
        oversharp, tack sharp, sharpen, crisp, crisper, crispness, crystal clear, soft focus,
        softly focused,
        motion blur, camera shake, camera movement, lacks definition, well defined, fuzzy, halo,
        haloing, high resolution, well focused, fine detail, motion freeze, froze the motion,
        freeze the action, froze the action, stop action, stop motion, froze it, panning
    """),
    "noise": _phrases("""
        noise, noisy, grainy, graininess, speckled, noise reduction, neat image,
        noise ninja, high iso, lower iso, sensor dust, artifact, jpeg, pixelated, pixelation,
        blocky, banding, posterized, posterization, compressed, compression, chromatic aberration,
        purple fringing, fringing, moire, hot pixel
    """),
    "exposure": _phrases("""
        overexposed, over exposed, overexposure, over exposure, underexposed, under exposed,
        underexposure, under exposure, well exposed, properly exposed, perfectly exposed,
        blown out, blown highlight, highlight blown, blown, burnt out, burned out, blow out,
        clipped, washed out, long exposure, exposure, hdr, dynamic range, tonal range,
        stop down, bracketing
    """),
    "light": _phrases("""
        well lit, nicely lit, beautifully lit, perfectly lit, poorly lit, evenly lit, softly lit,
        badly lit, lit from, backlit, backlight, back lit, back light, back lighting, backlighting,
        side lighting, side lit, sidelighting, rim light, rim lighting, fill flash, fill light,
        harsh light, soft light, natural light, light source, low light, glare, lens flare, flare,
        light fall off, diffused, diffuser, diffuse, softbox, chiaroscuro, golden hour,
        hot spot, specular, low key, high key, light and shadow, shadow play, underlit
    """),
    "color": _phrases("""
        saturated, saturation, oversaturated, over saturated, overly saturated, undersaturated,
        desaturated, desaturation, desaturate, desat, desats, selective color, selective desat,
        white balance, wb, color cast, yellow cast, blue cast, green cast, red cast, pink cast,
        color balance, monochrome, monochromatic, sepia, toning, duotone, bw, black white,
        black and white, grayscale, gray scale, vivid, vibrant, vibrance, colorful, hue, skin tone,
        color palette, palette, complementary color, complimentary color, color scheme, pastel,
        drab, cross processed, color contrast, color harmony
    """),
    "contrast": _phrases("""
        contrasty, low contrast, high contrast, contrast, levels adjustment, adjust the levels,
        more punch, punchy, punchiness, lacks punch, flat lighting, hazy, haze, silhouette,
        silhouetted,
        silhouetting, tonality, midtone, mid tone
    """),
    "composition": _phrases("""
        composition, compositional, compositionally, compose, composed, rule of third, thirds,
        off center, offcenter, off centered, centering, off centering, dead center, centered,
        central composition,
        negative space, empty space, dead space, white space, use of space, space around, crop,
        cropped, cropping, uncropped, tighter, reframe, tightly framed,
        well framed, nicely framed, zoom in, zoomed in, zoomed, horizon, tilt, tilted, crooked,
        slanted,
        symmetry, symmetrical, asymmetrical, asymmetry, leading line, diagonal, juxtaposition,
        focal point, point of focus, point of interest, center of interest, top heavy,
        well balanced, unbalanced, off balance, visual weight, visual interest, fill the frame,
        fills the frame, in the frame, out of the frame, edge of the frame, edge of the photo,
        edge of the picture, edge of the image, vignette, vignetting, vignetted, proportion,
        foreshortening, eye catching, s curve, cut off, chopped off, cutting off,
        rotate, rotated, straighten, straightened, visually confusing
    """),
    "depth": _phrases("""
        dof, depth of field, shallow depth, bokeh, sense of depth, feeling of depth,
        three dimensional,
        foreground, aperture, f stop, focal length, wide angle, selective focus, shallow focus,
        focus stacking, fisheye, fish eye, telephoto, lensbaby, tilt shift
    """),
    "simplicity": _phrases("""
        distracting, distract, distraction, distracted, cluttered, clutter, uncluttered, minimalist,
        minimalistic, minimalism, minimal, simplicity, busy background, too busy, bit busy,
        very busy, quite busy, less busy, kind of busy, busyness, detracts, detract, detracting,
        messy background, clean background, plain background
    """),
    "technique": _phrases("""
        overprocessed, over processed, overworked, over worked, too processed, oversharpen,
        photoshopped, shutter speed, slow shutter, slower shutter, faster shutter, double exposure,
        airbrushed, clone out, cloned out, cloning, dodge, burning in, dodging, solarized,
        infrared, date stamp, ps work, smart sharpen
    """),
    "mood": _phrases("""
        atmospheric, moody, dramatic light, dreamy, ethereal
    """),
}
"""By aspect: what judges or describes the look of a photo all by itself."""

TECHNICAL: dict[str, tuple[str, ...]] = {
    "noise": _phrases("grain"),
    "sharpness": _phrases(
        "focus, fcous, foucs, focused, focusing, clarity, definition, detail, detailed, blur"
    ),
    "light": _phrases("lighting, lit, highlight, shadow, shade, reflection, flash, brightness"),
    "color": _phrases("color, colored, coloring, coloration, tone, toned, tint, tinge, tonal"),
    "composition": _phrases(
        "comp, framed, framing, placement of, perspective, angle, viewpoint, point of view, pov,"
        " layout, balance, balanced, arrangement, aspect ratio, border, close up, closeup"
    ),
    "simplicity": _phrases("background, backdrop, backround, bg, surroundings"),
    "texture": _phrases(
        "texture, textured, pattern, shape, curve, repetition, geometry, geometric"
    ),
    "mood": _phrases("mood, atmosphere, ambiance, ambience, feel to it, feel to this"),
    "depth": _phrases("macro, lens"),
    "technique": _phrases(
        "processing, processed, post processing, postprocessing, pp, photoshop, technique,"
        " technically"
    ),
}
"""By aspect: what counts fully only beside a judgement."""

ORDINARY: dict[str, tuple[str, ...]] = {
    "light": _phrases("light, glow, glowing, shine, shiny, sheen, bright, dark"),
    "color": _phrases(
        "red, green, blue, yellow, orange, purple, pink, brown, white, black, gray, reds, greens,"
        " blues, yellows, whites, blacks, gold, rich"
    ),
    "composition": _phrases(
        "line, lines, space, frame, edge, corner, placement, placed, positioning, position,"
        " alignment, aligned, size, setup, set up, presentation, scale, element, landscape format"
    ),
    "simplicity": _phrases("simple, clean, busy"),
    "sharpness": _phrases("motion, movement, clear, smooth"),
    "mood": _phrases("dramatic, drama, dynamic, impact"),
    "technique": _phrases("technical, quality, effect, exposed"),
}
"""By aspect: everyday words that speak of the look only in the company of a judgement."""

WEAK = frozenset(
    "gold rich setup presentation element effect quality impact technical size macro"
    " technically technique processing pp photoshop position motion movement clear"
    " post processing postprocessing processed white black orange red green yellow".split()
) | {"set up", "post processing", "red", "blue", "brown", "pink", "purple"}
"""Words that, even when judged, often speak of what was photographed or of nothing certain."""

JUDGING = frozenset(
    """
    amazing appealing attractive awesome awful awkward bad beautiful beautifully best better bland
    bold boring brilliant captivating clean clear complement complements compelling confusing cool
    could creative cropped dark deep delicate delicious delightful difficult disappointing dramatic
    dull dynamic effective effectively elegant enhance enhances enough even excellent excellant
    exceptional exciting exquisite fabulous fantastic fine flat flawless fresh good gorgeous
    great hard harsh help helped helps hate horrible impressive incredible incredibly inconsistent
    interesting intriguing isn't lack lacking lacks lacked less like liked love loved lovely low
    loving lovin luminous make makes making marvelous masterful maybe minor missing more muddy muted
    natural neat need needed needs needing nice nicely nicer no odd off ok okay outstanding over
    perfect perfectly perhaps pleasant pleasing poor poorly powerful prefer preferred pretty prefect
    problem pronounced pure rich right rough sense shallow show shows should simple slight slightly
    smooth soft softer solid spectacular splendid spot strange striking strong stronger stunning
    subtle super superb superior suits sucks terrible terrific too tough try ugly uneven
    unfortunate uninspired uninteresting unnatural unpleasant use using vivid warm warmer warmth
    weak
    weird well wild wish wonderful wonderfully work worked working works worse wow wrong would
    better brings adds add added draws detracts little bit enjoy enjoyed fan favorite nailed
    control controlled superbly nothing lose lost losing stand stands pop pops popping hides hidden
    annoying bothers bothering ruins hurts takes isolates separates separation blends blend
    reduces gives creates creating provides bothered yuck fun magnificent sweet cold dim bright
    missed misses without wider lower closer brighter darker lighter increase increased reduce
    cleaner plain
    """.split()
)
"""Words that make a named aspect a statement about this photo."""

DEGREES = frozenset(
    """
    too bit little slightly tad so very rather quite more less overly way pretty somewhat seems
    seem seemed looks look looked feels appears kinda extremely fairly really is are was be
    """.split()
)
QUALITIES: dict[str, tuple[str, ...]] = {
    "light": ("dark", "darker", "bright", "brighter", "harsh", "harsher", "dim", "hot"),
    "composition": ("tight", "loose", "close", "small", "smaller", "big", "large", "larger",
                    "lopsided"),
    "contrast": ("flat", "muddy", "murky", "dull"),
    "sharpness": ("soft", "softer", "smooth", "unclear"),
    "simplicity": ("busy", "clean"),
    "color": ("warm", "warmer", "cold", "colder", "red", "yellow", "green", "blue", "orange",
              "pink", "garish", "gaudy", "muted", "brown"),
}  # fmt: skip
"""By aspect: adjectives that say something once a degree stands before them: too dark."""

MODEST = frozenset(
    """
    small smaller hot big large larger cold clean close bright red yellow green blue orange pink
    brown
    """.split()
)
"""Qualities that need more than *is* or *a* before them: they are said of things as well."""

PAIRS: tuple[tuple[str, frozenset[str], frozenset[str], int], ...] = (
    ("composition",
     frozenset("draw draws drew drawn drawing lead leads leading led pull pulls pulled pulling"
               " catch catches caught guide guides grab grabs direct directs keep keeps rest goes"
               " wander wandering focuses".split()),
     frozenset("eye eyes gaze attention".split()), 6),
    ("composition",
     frozenset("eye eyes gaze attention".split()),
     frozenset("drawn led pulled wander wandering goes away through around travel rest".split()),
     5),
    ("composition", frozenset({"subject", "main"}),
     frozenset("lost centered center separated isolated dominant dominate small".split()), 8),
    ("composition", frozenset({"close", "closer"}), frozenset({"edge", "frame", "border"}), 4),
    ("simplicity", frozenset({"background"}),
     frozenset("busy blurred dark black white clean out messy".split()), 4),
    ("color", frozenset({"in", "into"}), frozenset({"bw", "sepia"}), 2),
    ("light", frozenset({"more", "less", "much", "some", "enough", "better"}),
     frozenset({"light", "shadow", "shadows"}), 2),
    ("composition", frozenset({"cut", "cuts", "cutting", "chop", "chopped"}),
     frozenset("top bottom left right side edge".split()), 4),
    ("composition", frozenset({"takes", "take"}), frozenset({"away"}), 1),
    ("composition", frozenset("zoom zoomed step stepped stepping move get got".split()),
     frozenset({"closer"}), 2),
)  # fmt: skip
"""Aspect, first words, second words and how far behind they may stand."""

NOT_THE_LOOK = _phrases("""
    colored pencil, color pencil, light beer, light bulb, traffic light, christmas light,
    light meal,
    light hearted, in light of, sharp knife, sharp wit, sharp teeth, soft drink, soft spot,
    high quality product, quality time, balanced diet, focus on the story, color me, bright idea,
    orange juice, the focus of the challenge, on a lighter note, black eye, green with envy,
    white wine, red wine, brown sugar, green tea, black tea, white bread, green bean, red pepper,
    green pepper, yellow pepper, dark chocolate, white chocolate, black pepper, green apple,
    red apple, simple as that, pretty simple, in the long run, front page, main reason, line up,
    in line, on line, finish line, dead line, bottom line, out of line, punch line, top picks,
    black bean, black coffee, black olive, orange peel, the dark side, in the dark, in detail,
    get the impression, gives the impression, gives me the impression, shot in the dark, in no way,
    minimal editing, no detail, highlight of my, highlight of the, in good light, light year,
    light fixture, light switch, light saber, go into detail, more detail about, clear cut,
    make clear, makes it clear, makes clear, pretty clear, not clear, clear to me, cut off date,
    size of that, cup size, feel like, feel that, i feel, you feel, me feel, feel free, feel bad,
    feel sorry, quality of life, details about, crop of, crop circle, in shape, grain of salt,
    whole grain, grain of rice, sugar and spice, border patrol, border on, borders on,
    set up my, position to, my position, in my corner, lens cap, white house, blue after,
    edge of my seat, no point, processed cheese, processed meat, processed food, cutting edge,
    minor detail, in contrast to, composed of, make noise, cut in half, rich in, rich people,
    focus group, exposure to, detail oriented
""")
"""Phrases whose words mean something else: heard first, they count for nothing."""

CONTEST = frozenset("challenge theme topic contest category entry entries".split())
"""What makes the name of an aspect the name of a contest: *the leading lines challenge*."""
