"""Words for aesthetics, in both manners: composition, light, colour, depth, simplicity, harmony.

Aspect → value → (tone, clauses, noun phrases). ``{place}``, ``{side}`` and ``{colours}`` are
filled in. Nothing here speaks of noise or of files.
"""

from __future__ import annotations

from curation.pocket.wording import Table

PLACES = {
    "a": {"centre": "at the centre", "left": "on the left", "right": "on the right",
          "upper": "in the upper part", "lower": "in the lower part"},
    "b": {"centre": "in the middle", "left": "to the left", "right": "to the right",
          "upper": "near the top", "lower": "near the bottom"},
}  # fmt: skip
"""Where the eye goes; the corners are worded by `place_words`."""

SIDES = {"left": "from the left", "right": "from the right", "top": "from above",
         "bottom": "from below"}  # fmt: skip


def place_words(place: str, manner: str) -> str:
    """A place in the frame as an adverbial."""
    corner = f"{'in' if manner == 'a' else 'at'} the {place}"
    return PLACES[manner].get(place, corner)


def side_words(side: str) -> str:
    """Where light comes from as an adverbial."""
    return SIDES.get(side, f"from the {side}")


AESTHETIC: dict[str, Table] = {
    "a": {
        "place": {
            "one": (1, "the composition leads the gaze to one spot {place}"
                       " / the gaze settles [firmly|] {place} [of the composition|]",
                    "a composition anchored {place}"),
            "centre": (1, "the composition [rests|is anchored] {place} [of the frame|]"
                          " / the gaze settles {place} [of the composition|]",
                       "a composition anchored {place}"),
            "spread": (0, "the composition [begins|opens] {place} [and then spreads out|and"
                          " spreads]",
                       "a composition that [begins|opens] {place}"),
        },
        "thirds": {
            "yes": (1, "the [main|leading] elements [follow|respect] the thirds of the frame",
                    "elements placed along the thirds"),
            "no": (0, "the [main|leading] elements [ignore|avoid] the thirds of the frame",
                   "elements placed away from the thirds"),
        },
        "symmetry": {
            "none": (0, "symmetry plays no part / the two halves [ignore|differ from] each other",
                     "an arrangement without symmetry"),
            "some": (0, "a gentle symmetry [links|connects] the two halves",
                     "a gentle symmetry"),
            "strong": (1, "a striking symmetry [links|connects] the two halves",
                       "a striking symmetry"),
        },
        "focal": {
            "one spot": (1, "a single [motif|accent] holds attention",
                         "a single [motif|accent] of weight"),
            "spread": (0, "attention drifts across [several|many] [motifs|accents]",
                       "[several|many] competing [motifs|accents]"),
        },
        "light": {
            "even": (0, "the light [falls|spreads] evenly over the scene / soft light"
                        " [falls|spreads] evenly",
                     "evenly spread light"),
            "side": (1, "the light [falls|streams] in {side}",
                     "light that [falls|streams] in {side}"),
        },
        "forms": {
            "even": (0, "the forms [stay|remain] [plain|flat] under this light",
                     "forms that stay plain"),
            "side": (1, "the forms gain [relief|volume] under this light",
                     "forms that gain [relief|volume]"),
        },
        "brightness": {
            "very dark": (-1, "the scene is sunk in [deep|darkest] night",
                          "a mood of darkest night"),
            "dark": (0, "the scene keeps to a low, dusky key", "a low, dusky key"),
            "balanced": (1, "light and shade [hold|keep] each other in balance",
                         "light and shade in balance"),
            "bright": (1, "the scene keeps to a high, airy key", "a high, airy key"),
            "very bright": (-1, "the scene is drowned in dazzling light",
                            "a flood of dazzling light"),
        },
        "mood": {
            "very low": (-1, "the mood of the light is listless", "a listless mood"),
            "low": (0, "the mood of the light is [gentle|quiet]", "a [gentle|quiet] mood"),
            "moderate": (1, "the mood of the light is [calm|serene]", "a [calm|serene] mood"),
            "strong": (1, "the mood of the light is [dramatic|lively]", "a [dramatic|lively] mood"),
            "very strong": (0, "the mood of the light is [stark|harsh]", "a [stark|harsh] mood"),
        },
        "colours": {
            "0": (0, "the palette [stays|remains] close to monochrome",
                  "a palette close to monochrome"),
            "1": (1, "{colours} [dominates|governs] the palette", "a palette led by {colours}"),
            "2": (1, "{colours} [dominate|govern] the palette", "a palette of {colours}"),
        },
        "warmth": {
            "cool": (0, "the hues [lend|give] the scene a cool mood", "cool hues"),
            "neutral": (0, "the hues are neither warm nor cool", "hues of neutral temperature"),
            "warm": (1, "the hues [lend|give] the scene a warm mood", "[warm|sunny] hues"),
        },
        "richness": {
            "none": (0, "the palette is [nearly|almost] colourless",
                     "[nearly|almost] colourless hues"),
            "muted": (0, "the palette is [muted|quiet]", "[muted|quiet] hues"),
            "moderate": (1, "the palette is [moderate|measured]", "[moderate|measured] hues"),
            "lively": (1, "the palette is [lively|fresh]", "[lively|fresh] hues"),
            "vivid": (1, "the palette is [vivid|glowing]", "[vivid|glowing] hues"),
        },
        "scheme": {
            "unified": (1, "the hues [share|speak] one [key|language]", "hues of one [family|key]"),
            "related": (1, "the hues are closely kin to each other", "related hues"),
            "contrasting": (0, "the hues answer each other", "contrasting hues"),
            "mixed": (-1, "the hues clash with each other", "clashing hues"),
        },
        "depth": {
            "flat": (0, "depth is barely suggested / the scene has little depth",
                     "[little|hardly any] depth"),
            "some": (1, "a [certain|moderate] depth [opens|unfolds] behind the subject",
                     "a [certain|moderate] sense of depth"),
            "shallow": (1, "a shallow depth of field [isolates|frees] the subject"
                           " / the background [melts|dissolves] [far|deep] behind the subject",
                        "a shallow depth of field"),
        },
        "subject": {
            "clear": (1, "the subject [emerges|stands] crisply [drawn|defined]",
                      "a crisply [drawn|defined] subject"),
            "soft": (-1, "the subject [remains|stays] [veiled|soft] in its drawing",
                     "a [veiled|softly drawn] subject"),
        },
        "layers": {
            "flat": (0, "foreground and background [merge|lie] in one plane",
                     "foreground and background in one plane"),
            "some": (0, "foreground and background [part|separate] gently", "gently parted planes"),
            "shallow": (1, "foreground and background [part|separate] decisively",
                        "decisively parted planes"),
        },
        "clutter": {
            "simple": (1, "[simplicity|restraint] [rules|governs] the frame / the frame is"
                          " [simple|uncluttered]",
                       "a [simple|restrained] frame"),
            "moderate": (0, "the frame is [moderately|partly] filled",
                         "a moderately filled frame"),
            "busy": (-1, "clutter [rules|crowds] the frame / the frame is [cluttered|crowded]",
                     "a [cluttered|crowded] frame"),
        },
        "quiet": {
            "simple": (1, "nothing superfluous distracts", "nothing that distracts"),
            "moderate": (0, "[few|some] minor matters distract", "some minor distractions"),
            "busy": (-1, "many minor matters distract", "many distractions"),
        },
        "room": {
            "simple": (1, "ample empty room surrounds the subject", "ample empty room"),
            "moderate": (0, "some empty room [remains|is left] around the subject",
                         "some empty room"),
            "busy": (-1, "hardly any empty room [remains|is left] around the subject",
                     "hardly any empty room"),
        },
        "unity": {
            "unified": (1, "all parts [form|join in] one harmony", "parts that form one harmony"),
            "related": (1, "the parts [stay|rest] in quiet harmony", "parts in quiet harmony"),
            "contrasting": (0, "harmony gives way to [tension|contrast] between the parts",
                            "[lively|open] tension between the parts"),
            "mixed": (-1, "harmony is [lacking|absent] between the parts", "parts without harmony"),
        },
        "effect": {
            "1": (1, "the {topic} [enriches|elevates] the whole", ""),
            "0": (0, "the {topic} [neither helps nor harms|hardly alters] the whole", ""),
            "-1": (-1, "the {topic} [weakens|harms] the whole", ""),
        },
    },
    "b": {
        "place": {
            "one": (1, "my eye [lands|comes to rest] {place}",
                    "one eye-catcher {place}"),
            "centre": (1, "my eye [lands|comes to rest] {place}", "one eye-catcher {place}"),
            "spread": (0, "my eye starts {place} and [moves on|keeps moving]",
                       "a starting point {place}"),
        },
        "thirds": {
            "yes": (1, "the framing follows the rule of thirds", "framing by the rule of thirds"),
            "no": (0, "the framing breaks the rule of thirds",
                   "framing without the rule of thirds"),
        },
        "symmetry": {
            "none": (0, "left and right [do not|hardly] match", "left and right that do not match"),
            "some": (0, "left and right match [in part|roughly]",
                     "left and right that match [in part|roughly]"),
            "strong": (1, "left and right match like a mirror", "left and right like a mirror"),
        },
        "focal": {
            "one spot": (1, "I get one clear [thing|object] to look at",
                         "one clear [thing|object] to look at"),
            "spread": (0, "I get [several|lots of] [things|objects] to look at",
                       "[several|lots of] [things|objects] to look at"),
        },
        "light": {
            "even": (0, "the light is the same all over / I get the same light all over",
                     "the same light all over"),
            "side": (1, "the light comes {side} / I [see|get] light {side}", "light {side}"),
        },
        "forms": {
            "even": (0, "the shapes look plain in this light [to me|]", "shapes that look plain"),
            "side": (1, "the shapes look solid in this light [to me|]", "shapes that look solid"),
        },
        "brightness": {
            "very dark": (-1, "the lighting feels like midnight [to me|]",
                          "lighting like midnight"),
            "dark": (0, "the lighting feels like evening [to me|]", "lighting like evening"),
            "balanced": (1, "the lighting feels like a normal day [to me|]",
                         "lighting like a normal day"),
            "bright": (1, "the lighting feels like a sunny day [to me|]",
                       "lighting like a sunny day"),
            "very bright": (-1, "the lighting blinds me", "lighting that blinds me"),
        },
        "mood": {
            "very low": (-1, "the light feels lifeless", "lifeless light"),
            "low": (0, "the light feels mild", "mild light"),
            "moderate": (1, "the light feels [relaxed|calm]", "[relaxed|calm] light"),
            "strong": (1, "the light feels exciting", "exciting light"),
            "very strong": (0, "the light feels rough", "rough light"),
        },
        "colours": {
            "0": (0, "I get mainly grey as a colour scheme", "a grey colour scheme"),
            "1": (1, "{colours} is the main colour / its main colour is {colours}"
                     " / I get mainly {colours} as a colour scheme",
                  "{colours} as main colour"),
            "2": (1, "{colours} are the main colours / its colours are {colours}"
                     " / I get mainly {colours} as a colour scheme",
                  "{colours} as main colours"),
        },
        "warmth": {
            "cool": (0, "the colours feel cold [to me|]", "a cold colour mix"),
            "neutral": (0, "the colours feel neither warm nor cold [to me|]",
                        "a neutral colour mix"),
            "warm": (1, "the colours feel cosy [to me|]", "a cosy colour mix"),
        },
        "richness": {
            "none": (0, "the colour mix [is|feels] empty", "an empty colour mix"),
            "muted": (0, "the colour mix [is|feels] quiet", "a quiet colour mix"),
            "moderate": (1, "the colour mix [is|feels] sensible", "a sensible colour mix"),
            "lively": (1, "the colour mix [is|feels] cheerful", "a cheerful colour mix"),
            "vivid": (1, "the colour mix [is|feels] loud and happy", "a loud and happy colour mix"),
        },
        "scheme": {
            "unified": (1, "the colours are one team", "colours like one team"),
            "related": (1, "the colours [get along|go together]",
                        "colours that [get along|go together]"),
            "contrasting": (0, "the colours pull [both|two] ways",
                            "colours that pull [both|two] ways"),
            "mixed": (-1, "the colours [fight|bite]", "colours that [fight|bite]"),
        },
        "depth": {
            "flat": (0, "the space looks flat [to me|] / I get next to no depth", "flat space"),
            "some": (1, "the space looks [medium|reasonably] deep [to me|]", "some depth"),
            "shallow": (1, "the back is out of the way / I see the back melt away",
                        "a melted back"),
        },
        "subject": {
            "clear": (1, "the main thing is [easy|simple] to make out in this depth",
                      "a main thing that is easy to see"),
            "soft": (-1, "the main thing is hard to make out in this depth",
                     "a main thing that is hard to see"),
        },
        "layers": {
            "flat": (0, "front and back stick together", "front and back stuck together"),
            "some": (0, "front and back sit somewhat apart", "front and back somewhat apart"),
            "shallow": (1, "front and back sit far apart", "front and back far apart"),
        },
        "clutter": {
            "simple": (1, "the scene is kept simple / I [see|get] a simple scene",
                       "a simple [scene|set-up]"),
            "moderate": (0, "the scene is [half full|partly filled] / I [see|get] a half-full"
                            " scene",
                         "a half-full [scene|set-up]"),
            "busy": (-1, "the scene is [busy|packed] / I [see|get] a busy scene",
                     "a [busy|packed] [scene|set-up]"),
        },
        "quiet": {
            "simple": (1, "no junk gets in the way", "no junk in the way"),
            "moderate": (0, "some junk gets in the way", "some junk in the way"),
            "busy": (-1, "lots of junk gets in the way", "lots of junk in the way"),
        },
        "room": {
            "simple": (1, "there is plenty of free room", "plenty of free room"),
            "moderate": (0, "there is some free room left", "some free room"),
            "busy": (-1, "there is hardly any free room left", "hardly any free room"),
        },
        "unity": {
            "unified": (1, "everything fits together as one", "things that fit together as one"),
            "related": (1, "most things fit together", "things that mostly fit together"),
            "contrasting": (0, "things fit together by pulling [both|two] ways",
                            "things that pull [both|two] ways"),
            "mixed": (-1, "things do not fit together", "things that do not fit together"),
        },
        "effect": {
            "1": (1, "I [really|] [like|enjoy] the {topic}", ""),
            "0": (0, "I can live with the {topic}", ""),
            "-1": (-1, "I do not [like|enjoy] the {topic}", ""),
        },
    },
}  # fmt: skip
