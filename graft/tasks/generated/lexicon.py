"""The words of the generated tasks, most of them whole words in BERT's vocabulary."""

import random
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """Words for one slot of a sentence; `held` ones appear only in the dev split."""

    seen: tuple[str, ...]
    held: tuple[str, ...] = ()

    def draw(self, rng: random.Random, split: str) -> str:
        return rng.choice(self.seen if split == "train" else self.seen + self.held)


def words(seen: str, held: str = "") -> Words:
    """Split strings into Words."""
    return Words(tuple(seen.split()), tuple(held.split()))


def pairs(text: str) -> dict[str, str]:
    """Split `one/other` words into a mapping from one to the other."""
    return dict(pair.split("/") for pair in text.split())


# ------------------------------------------------------------------------------------------------- for sentiment
PRAISE = words(
    "good great wonderful excellent lovely brilliant delightful charming superb clever warm funny moving fresh "
    "gripping beautiful fine impressive memorable pleasant exciting terrific perfect amazing",
    "splendid elegant joyful stunning refreshing fabulous",
)
BLAME = words(
    "bad awful terrible dull poor boring horrible weak clumsy tedious bland annoying ugly disappointing silly lazy "
    "messy pointless painful shallow flat stale ridiculous cheap",
    "dreadful lifeless irritating dismal mediocre miserable",
)
STRONGLY = words("extremely absolutely truly very really completely", "incredibly deeply")
SLIGHTLY = Words(("slightly", "somewhat", "a little", "a bit"), ("a touch", "vaguely"))
# What is judged, and its parts that can be.
JUDGED = {
    "film": words("story acting writing dialogue music ending lighting cast", "camera humour"),
    "play": words("story acting writing dialogue music ending lighting cast", "scenery humour"),
    "book": words("story writing dialogue style language ending cover opening", "poetry humour"),
    "restaurant": words("food service soup wine bread coffee kitchen menu", "dessert salad"),
    "hotel": words("food service wine breakfast coffee furniture pool garden", "bedding parking"),
    "concert": words("music sound singing lighting ending drumming opening choir", "orchestra dancing"),
}

# --------------------------------------------------------------------------------------------------- for scenes
# Actors and things, by their hypernym.
ACTORS = {
    "person": words(
        "man woman boy girl teacher doctor nurse farmer soldier student waiter singer", "sailor lawyer dancer"
    ),
    "animal": words("dog cat horse monkey bear goat rabbit", "fox tiger"),
}
THINGS = {
    "instrument": words("guitar piano violin drum", "flute"),
    "fruit": words("apple banana orange peach", "lemon"),
    "vehicle": words("car truck bicycle bus", "van"),
    "tool": words("hammer saw drill knife", "shovel"),
    "garment": words("shirt coat dress hat", "scarf"),
    "container": words("bottle basket box bag", "bucket"),
}
# What people and animals do to things and to one another: "is carrying", "is being carried".
ACTIONS = pairs(
    "carrying/carried pushing/pushed pulling/pulled washing/washed watching/watched lifting/lifted hiding/hidden "
    "holding/held finding/found catching/caught throwing/thrown guarding/guarded touching/touched shaking/shaken "
    "dragging/dragged cleaning/cleaned observing/observed raising/raised concealing/concealed gripping/gripped "
    "discovering/discovered seizing/seized tossing/tossed protecting/protected"
)
VERBS = words(
    "carrying pushing pulling washing watching lifting hiding holding finding catching throwing guarding",
    "touching shaking",
)
# Synonyms; the second word appears only in place of the first.
SYNONYMS = pairs(
    "man/gentleman woman/lady boy/lad doctor/physician teacher/instructor student/pupil dog/hound rabbit/bunny "
    "car/automobile truck/lorry bicycle/bike coat/jacket hat/cap bag/sack violin/fiddle pulling/dragging "
    "washing/cleaning watching/observing lifting/raising hiding/concealing holding/gripping finding/discovering "
    "catching/seizing throwing/tossing guarding/protecting big/large small/little happy/cheerful tired/exhausted"
)
OF_ACTORS = words("young old tall tired happy", "angry")
OF_THINGS = words("red blue small big new broken", "green")
PLACES = {
    "outside": Words(
        ("in the park", "on the beach", "in the garden", "near the river", "in the street"), ("on the bridge",)
    ),
    "indoors": Words(
        ("in the kitchen", "in the hall", "at the station", "in the museum", "in the shop"), ("in the library",)
    ),
}
PLURALS = pairs("man/men woman/women gentleman/gentlemen lady/ladies bunny/bunnies fox/foxes person/people")

# The hypernym of each word that has one.
KIND_OF = {
    word: kind
    for table in (ACTORS, THINGS, PLACES)
    for kind, group in table.items()
    for seen in group.seen + group.held
    for word in (seen, SYNONYMS.get(seen, seen))
}


def same(first: str | None, second: str | None) -> bool:
    """Whether two words mean the same."""
    return first == second or SYNONYMS.get(first or "", first) == SYNONYMS.get(second or "", second)


def articled(text: str) -> str:
    """Replace `a` by `an` before vowels."""
    return re.sub(r"\ba (?=[aeiou])", "an ", text)
