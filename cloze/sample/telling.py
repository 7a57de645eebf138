"""A scene told in one or two sentences, in a fixed order: place, time, who, action, object, what is said."""

from cloze.sample import vocabulary as words
from cloze.sample.grammar import Scene


def tell(scene: Scene) -> str:
    """The scene as a flowing paragraph of 18 to 40 words; what is None is left out."""
    place = f"{words.PLACE_PHRASES[scene.setting]} {words.TIME_PHRASES[scene.time]}"
    weather = f" {words.WEATHER_PHRASES[scene.weather]}" if scene.weather else ""
    holding = f"holds the {scene.object}" if scene.object else "carries on as ever"
    action = f"{scene.who} {words.ACTION_PHRASES[scene.action]} and {holding}"
    return f"{place}{weather}, {action}{_beside(scene.beside)}. {_speech(scene)}"


def _beside(beside: str | None) -> str:
    if beside is None:
        return ""
    return ", facing a rival" if beside == words.RIVAL else f", with a {beside} close at hand"


def _speech(scene: Scene) -> str:
    if scene.quote is not None:
        return f'{scene.who} says, "{scene.quote}"'
    return f"The title speaks of the {scene.goal}." if scene.goal else f"{scene.who} does not say a single word."
