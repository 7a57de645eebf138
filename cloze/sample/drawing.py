"""Pictures of the drawn world: panels, covers and adverts."""

from typing import NamedTuple

from PIL import Image, ImageDraw

from cloze.sample import figures, lettering, props, scenery
from cloze.sample import vocabulary as words
from cloze.sample.grammar import Bubble, Panel, Scene, stream
from cloze.sample.lettering import Lettered
from cloze.sample.pen import INK, OVERSAMPLING, Colour, Pen, Point

# Width and height of panels; their order on a page makes the layout.
SIZES = ((224, 224), (256, 208), (208, 224), (240, 216))
COVER_SIZE = (256, 320)
_FIGURE = 0.52  # height of a middling figure, in panel heights
_BORDER = 3


class Drawn(NamedTuple):
    """A finished picture and where its lettering is."""

    picture: Image.Image
    lettering: list[Lettered]


def draw_panel(panel: Panel, size: tuple[int, int], key: str) -> Drawn:
    """Draw a story panel.

    Args:
        size: width and height in pixels.
        key: decides small differences between two pictures of the same scene, such as which way one looks.
    """
    rng = stream(key)
    looks_left = rng.random() < 0.5
    return draw_staged(panel, size, (0.66 if looks_left else 0.34) + rng.uniform(-0.03, 0.03), looks_left)


def draw_staged(panel: Panel, size: tuple[int, int], x: float, looks_left: bool) -> Drawn:
    """Draw a story panel whose figure stands at `x`, in widths, and looks left or right."""
    picture = scenery.background(panel.scene.setting, panel.scene.time, size).copy()
    draw = ImageDraw.Draw(picture)
    if panel.scene.weather == "lightning":
        _draw_lightning(draw, picture.size, looks_left)
    mouth = _draw_cast(draw, panel.scene, picture.size, x, looks_left)
    picture = _draw_weather(picture, panel.scene.weather)
    return _letter(picture, panel.bubbles, size, mouth, speaker_left=not looks_left)


def draw_cover(hero: str, bubbles: tuple[Bubble, ...], key: str) -> Drawn:
    """Draw a cover: the hero, large, before some place."""
    rng = stream(key)
    scene = Scene(rng.choice(words.ROUTE), rng.choice(words.TIMES), hero, "waves", rng.choice(words.OBJECTS))
    picture = scenery.background(scene.setting, scene.time, COVER_SIZE).copy()
    mouth = _draw_cast(ImageDraw.Draw(picture), scene, picture.size, 0.45, False)
    return _letter(picture, bubbles, COVER_SIZE, mouth, speaker_left=True)


def draw_advert(bubbles: tuple[Bubble, ...], key: str) -> Drawn:
    """Draw an advert page: bright paper, a burst, and the offer."""
    rng = stream(key)
    width, height = (length * OVERSAMPLING for length in COVER_SIZE)
    paper: Colour = rng.choice(((250, 236, 200), (206, 236, 214), (216, 226, 250)))
    picture = Image.new("RGB", (width, height), paper)
    pen = Pen(ImageDraw.Draw(picture), width / 2, height * 0.62, width)
    props.draw_burst(pen)
    props.draw_object(rng.choice(words.OBJECTS), pen.moved((0, -0.05), 0.3))
    return _letter(picture, bubbles, COVER_SIZE, (0, 0), speaker_left=True)


def _draw_cast(draw: ImageDraw.ImageDraw, scene: Scene, size: tuple[int, int], x: float, looks_left: bool) -> Point:
    """Draw who acts and who is by; returns the pixel of the mouth."""
    width, height = size
    pen = Pen(draw, width * x, height * (1 - 0.07), height * _FIGURE, looks_left)
    if scene.beside == words.RIVAL:
        figures.draw_shadow(Pen(draw, *pen.pixel((0.94, 0.04)), pen.scale * 0.9, not pen.flip))
    elif scene.beside is not None:
        props.draw_animal(scene.beside, pen.moved((0.98, 0), 0.42))
    return figures.draw_figure(scene.who, scene.action, scene.object, pen)


def _draw_lightning(draw: ImageDraw.ImageDraw, size: tuple[int, int], looks_left: bool) -> None:
    """One bolt in the middle, and one behind the figure's back, where no balloon goes."""
    width, height = size
    bolt = [(0.0, 0.0), (-0.1, 0.3), (-0.01, 0.3), (-0.12, 0.66), (0.12, 0.24), (0.02, 0.24), (0.14, 0.0)]
    for x, y in ((0.5, 0.0), (0.9 if looks_left else 0.1, 0.12)):
        Pen(draw, width * x, height * y, height).shape([(dx, -dy) for dx, dy in bolt], (255, 250, 120))


def _draw_weather(picture: Image.Image, weather: str | None) -> Image.Image:
    width, height = picture.size
    if weather == "rain":
        draw = ImageDraw.Draw(picture)
        for i in range(64):
            x, y = (i * 97) % (width + 60), (i * 61) % height
            draw.line([(x, y), (x - 14, y + 40)], fill=(206, 230, 250), width=3)
    if weather == "fog":
        for top in (0.3, 0.52, 0.74):
            box = (0, round(height * top), width, round(height * (top + 0.13)))
            band = picture.crop(box)
            picture.paste(Image.blend(band, Image.new("RGB", band.size, (236, 236, 240)), 0.62), box)
    return picture


def _letter(
    picture: Image.Image, bubbles: tuple[Bubble, ...], size: tuple[int, int], mouth: Point, *, speaker_left: bool
) -> Drawn:
    """Put lettering and the black frame on a picture and halve it."""
    placed = lettering.place(bubbles, size, speaker_left=speaker_left)
    lettering.draw_shapes(ImageDraw.Draw(picture), placed, mouth)
    small = picture.reduce(OVERSAMPLING)
    draw = ImageDraw.Draw(small)
    lettering.write(draw, placed)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=INK, width=_BORDER)
    return Drawn(small, placed)
