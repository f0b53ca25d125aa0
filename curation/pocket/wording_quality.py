"""Words for technical quality without the faults' own names, in both manners.

Aspect → value → (tone, clauses, noun phrases). No name of a fault occurs here, and no word of
composition or mood.
"""

from __future__ import annotations

from curation.pocket.wording import Table

QUALITY: dict[str, Table] = {
    "a": {
        "edges": {
            "very soft": (-1, "[outlines|contours] [dissolve into|end in] softness [throughout"
                              " the frame|]"
                              " / [outlines|contours] lack [all|any real] definition",
                          "[outlines|contours] without definition"),
            "soft": (-1, "[outlines|contours] [stay|remain] [soft|rather soft] [throughout the"
                         " frame|]",
                     "[soft|rather soft] [outlines|contours]"),
            "fairly sharp": (0, "[outlines|contours] [are|remain] [reasonably|moderately] sharp"
                                " [throughout the frame|]",
                             "[reasonably|moderately] sharp [outlines|contours]"),
            "crisp": (1, "[outlines|contours] [are|remain] [crisp|razor-sharp|cleanly drawn]"
                         " [throughout the frame|]",
                      "[crisp|razor-sharp|cleanly drawn] [outlines|contours]"),
        },
        "texture": {
            "kept": (1, "fine texture [survives|remains intact] [down to the smallest structures|]",
                     "[intact|fully preserved] fine texture"),
            "thin": (-1, "fine texture is [partly|half] [smoothed over|lost]"
                         " [in the smallest structures|]",
                     "fine texture that is [partly|half] lost"),
            "lost": (-1, "fine texture has vanished [from the smallest structures|]",
                     "fine texture that has vanished"),
        },
        "surfaces": {
            "clean": (1, "[calm|smooth] [surfaces|areas] [are|remain] [clean|spotless]"
                         " [throughout the frame|]",
                      "[clean|spotless] smooth [surfaces|areas]"),
            "slight": (0, "[calm|smooth] [surfaces|areas] [are|remain] [almost|nearly] clean"
                          " [throughout the frame|]",
                       "[almost|nearly] clean smooth [surfaces|areas]"),
            "grainy": (-1, "[calm|smooth] [surfaces|areas] [look|seem] [rough|restless]"
                           " [throughout the frame|]",
                       "[rough|restless] calm [surfaces|areas]"),
            "very noisy": (-1, "[calm|smooth] [surfaces|areas] [look|seem] [thoroughly|very]"
                               " [rough|restless]",
                           "[thoroughly|very] [rough|restless] calm [surfaces|areas]"),
        },
        "darker": {
            "calm": (1, "the [darker|deeper] tones [stay|remain] [quiet|undisturbed]",
                     "[quiet|undisturbed] [darker|deeper] tones"),
            "restless": (-1, "the [darker|deeper] tones flicker with random dots",
                         "flickering [darker|deeper] tones"),
        },
        "brightness": {
            "very dark": (-1, "the exposure is [very|deeply] dark [in most regions|]",
                          "a [very|deeply] dark exposure"),
            "dark": (0, "the exposure [leans|tends] to the dark side", "a rather dark exposure"),
            "balanced": (1, "the exposure is [balanced|accurate] [in most regions|]",
                         "a [balanced|measured] exposure"),
            "bright": (0, "the exposure [leans|tends] to the bright side",
                       "a rather bright exposure"),
            "very bright": (-1, "the exposure is very bright [in most regions|]",
                            "a very bright exposure"),
        },
        "clipping": {
            "none": (1, "highlights and shadows [keep|retain] their [full|] gradation",
                     "[full|intact] gradation in highlights and shadows"),
            "highlights": (-1, "the brightest highlights are [fully|completely|] clipped",
                           "[fully|completely] clipped highlights"),
            "shadows": (-1, "the deepest shadows are [fully|completely|] clipped",
                        "[fully|completely] clipped shadows"),
            "both": (-1, "highlights and shadows are both clipped",
                     "clipping in both highlights and shadows"),
        },
        "contrast": {
            "very low": (-1, "the tonal range is very [narrow|small] [throughout the frame|]",
                         "a very narrow tonal range"),
            "low": (-1, "the tonal range is [narrow|small] [throughout the frame|]",
                    "a [narrow|small] tonal range"),
            "moderate": (1, "the contrast is [moderate|measured] [throughout the frame|]",
                         "[moderate|measured] contrast"),
            "strong": (1, "the contrast is [vigorous|firm] [throughout the frame|]",
                       "[vigorous|firm] contrast"),
            "very strong": (0, "the contrast is [harsh|steep] [throughout the frame|]",
                            "[harsh|steep] contrast"),
        },
        "range": {
            "narrow": (-1, "pure black and pure white [are never reached|lie out of reach]",
                       "tones that [never reach|stay away from] pure black"),
            "medium": (0, "tones [run|extend] [close to|nearly as far as] black and white",
                       "tones that run close to black and white"),
            "wide": (1, "tones [run|extend] from [deep|solid] black to [bright|pure] white",
                     "tones from [deep|solid] black to pure white"),
        },
        "saturation": {
            "none": (0, "colours are [almost|nearly] absent", "[almost|nearly] absent colours"),
            "muted": (0, "colours are [muted|subdued] in saturation", "[muted|subdued] colours"),
            "moderate": (1, "colours are [natural|moderate] in saturation",
                         "[natural|moderately saturated] colours"),
            "lively": (1, "colours are [lively|fresh] in saturation", "[lively|fresh] colours"),
            "vivid": (0, "colours are [vivid|intense] in saturation", "[vivid|intense] colours"),
        },
        "greys": {
            "neutral": (1, "[greys|the greys] [stay|remain] neutral [in every region|]",
                        "neutral greys"),
            "tinted": (0, "[greys|the greys] lean towards {tint}",
                       "greys that lean towards {tint}"),
        },
        "temperature": {
            "cool": (0, "the white balance [leans|tends] to the cool side",
                     "a rather cool white balance"),
            "neutral": (1, "the white balance is accurate",
                        "an accurate white balance"),
            "warm": (0, "the white balance [leans|tends] to the warm side",
                     "a rather warm white balance"),
        },
        "file": {
            "intact": (1, "compression [leaves|has left] no mark [on the rendering|on the frame]",
                       "compression that leaves no mark"),
            "tight": (-1, "the compression was [rather|somewhat] [tight|coarse]",
                      "[rather|somewhat] [tight|coarse] compression"),
            "crushing": (-1, "the compression was [far|much] too [tight|coarse]",
                         "[far|much] too [tight|coarse] compression"),
        },
        "gradients": {
            "smooth": (1, "gradients [run|flow] smoothly [from tone to tone|]",
                       "smoothly [running|flowing] gradients"),
            "broken": (-1, "gradients no longer [run|flow] smoothly",
                       "gradients that [run|flow] unevenly"),
        },
        "structures": {
            "whole": (1, "compressed structures [stay|remain] [whole|undamaged]",
                      "[whole|undamaged] structures after compression"),
            "broken": (-1, "compressed structures [break up|fall apart]",
                       "structures that [break up|fall apart] under compression"),
        },
        "effect": {
            "none": (1, "nothing in this respect harms the technical result",
                     "no technical weakness in this respect"),
            "small": (-1, "the technical loss [is|remains] [small|limited]",
                      "a [small|limited] technical loss"),
            "medium": (-1, "the technical loss is considerable",
                       "a considerable technical loss"),
            "large": (-1, "the technical loss is immense", "an immense technical loss"),
        },
    },
    "b": {
        "edges": {
            "very soft": (-1, "I [see|find|notice] no firm [edge|line] anywhere / the"
                              " [edges|lines] look [very|totally]"
                              " mushy [to me|]",
                          "[very|totally] mushy [edges|lines]"),
            "soft": (-1, "the [edges|lines] look [mushy|soft] [to me|]",
                     "[mushy|soft] [edges|lines]"),
            "fairly sharp": (0, "the [edges|lines] look [more or less|mostly] sharp [to me|]",
                             "[more or less|mostly] sharp [edges|lines]"),
            "crisp": (1, "the [edges|lines] look [sharp|firm|clean-cut] [to me|] / I"
                         " [see|find|notice]"
                         " [sharp|firm|clean-cut] [edges|lines]",
                      "[sharp|firm|clean-cut] [edges|lines]"),
        },
        "texture": {
            "kept": (1, "the small details are all [there|in place]",
                     "[all of the|all the] small details"),
            "thin": (-1, "some small details are [gone|missing]", "some missing small details"),
            "lost": (-1, "most small details are [gone|missing]", "hardly any small details"),
        },
        "surfaces": {
            "clean": (1, "the [flat|plain] [spots|parts] look [clean|tidy] [to me|]",
                      "[clean|tidy] flat [spots|parts]"),
            "slight": (0, "the [flat|plain] [spots|parts] look [mostly|more or less]"
                          " [clean|tidy] [to me|]",
                       "[mostly|more or less] clean flat [spots|parts]"),
            "grainy": (-1, "the [flat|plain] [spots|parts] look [sandy|rough] [to me|]",
                       "[sandy|rough] flat [spots|parts]"),
            "very noisy": (-1, "the [flat|plain] [spots|parts] look [very|totally] [sandy|rough]"
                               " [to me|]",
                           "[very|totally] [sandy|rough] flat [spots|parts]"),
        },
        "darker": {
            "calm": (1, "the dark corners [keep still|look still [to me|]]", "still dark corners"),
            "restless": (-1, "the dark corners buzz with stray dots",
                         "buzzing dark corners"),
        },
        "brightness": {
            "very dark": (-1, "the exposure came out [very|totally] dark",
                          "[very|totally] dark exposure"),
            "dark": (0, "the exposure came out [on the dark side|somewhat dark]",
                     "exposure on the dark side"),
            "balanced": (1, "the exposure came out [right|even] / I find the exposure [right|even]",
                         "[even|correct] exposure"),
            "bright": (0, "the exposure came out [on the bright side|somewhat bright]",
                       "exposure on the bright side"),
            "very bright": (-1, "the exposure came out [very|totally] bright",
                            "[very|totally] bright exposure"),
        },
        "clipping": {
            "none": (1, "the bright and dark [parts|ends] [hold|are safe]",
                     "safe bright and dark [parts|ends]"),
            "highlights": (-1, "the bright [parts|ends] are cut off",
                           "bright [parts|ends] that are cut off"),
            "shadows": (-1, "the dark [parts|ends] are cut off",
                        "dark [parts|ends] that are cut off"),
            "both": (-1, "bright and dark [parts|ends] are both cut off",
                     "bright and dark [parts|ends] cut off"),
        },
        "contrast": {
            "very low": (-1, "light and dark [sit|lie] very close together",
                         "light and dark very close together"),
            "low": (-1, "light and dark [sit|lie] close together", "light and dark close together"),
            "moderate": (1, "the contrast [sits about right|looks normal] [to me|]",
                         "normal contrast"),
            "strong": (1, "the contrast has [punch|bite]", "contrast with [punch|bite]"),
            "very strong": (0, "the contrast [hits|comes out] hard", "hard contrast"),
        },
        "range": {
            "narrow": (-1, "I [find|see|get] no real black or white", "no real black or white"),
            "medium": (0, "black and white are [mostly|nearly] there",
                       "[mostly|nearly] full black and white"),
            "wide": (1, "black and white are [both|really] there", "real black and white"),
        },
        "saturation": {
            "none": (0, "I [find|see|get] next to no colour", "next to no colour"),
            "muted": (0, "the colours look [quiet|modest] [to me|]", "[quiet|modest] colours"),
            "moderate": (1, "the colours look [normal|true] [to me|]", "[normal|true] colours"),
            "lively": (1, "the colours look [bright|strong] [to me|]", "[bright|strong] colours"),
            "vivid": (0, "the colours look [very bright|very strong] [to me|]",
                      "[very bright|very strong] colours"),
        },
        "greys": {
            "neutral": (1, "grey [stays|looks] grey [to me|]", "grey that stays grey"),
            "tinted": (0, "grey [comes out|looks] a shade of {tint} [to me|]",
                       "grey that comes out {tint}"),
        },
        "temperature": {
            "cool": (0, "white [comes out|looks] cool [to me|]", "white on the cool side"),
            "neutral": (1, "white [comes out|looks] white [to me|]", "white that looks white"),
            "warm": (0, "white [comes out|looks] warm [to me|]", "white on the warm side"),
        },
        "file": {
            "intact": (1, "the file was saved with [care|enough room]",
                       "a file saved with [care|enough room]"),
            "tight": (-1, "the file was squeezed [a touch|somewhat] too small",
                      "a file squeezed somewhat too small"),
            "crushing": (-1, "the file was squeezed far too small",
                         "a file squeezed far too small"),
        },
        "gradients": {
            "smooth": (1, "the [slow|soft] shades [run|pass] without a break",
                       "unbroken shades after saving"),
            "broken": (-1, "the [slow|soft] shades do not run on", "broken shades after saving"),
        },
        "structures": {
            "whole": (1, "saving [broke|hurt] nothing", "nothing [broken|hurt] by saving"),
            "broken": (-1, "saving [broke|hurt] the small shapes",
                       "small shapes [broken|hurt] by saving"),
        },
        "effect": {
            "none": (1, "on this point I have [no complaint|nothing to report]",
                     "no complaint on this point"),
            "small": (-1, "my complaint is [small|short]", "a [small|short] complaint"),
            "medium": (-1, "my complaint is [serious|real]", "a [serious|real] complaint"),
            "large": (-1, "my complaint is [very serious|huge]", "a [very serious|huge] complaint"),
        },
    },
}  # fmt: skip
