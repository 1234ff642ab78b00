"""The words of the full voice, for models that draw anything. No names of people or brands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


def _list(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split(";"))


@dataclass(frozen=True, slots=True)
class Kind:
    """Subjects that share what they are like, what they do and where they are found."""

    subjects: Sequence[str]
    looks: Sequence[str]
    does: Sequence[str]
    places: Sequence[str]
    details: Sequence[str]


ANIMALS: Final = Kind(
    _list("""fox; red panda; barn owl; snow leopard; hummingbird; tabby cat; sheepdog; stag; brown bear;
        otter; raven; white horse; hedgehog; wolf; hare; kingfisher; sea turtle; whale; octopus; elephant;
        tiger; peacock; heron; squirrel; lynx; penguin; frog; goldfish; moth; black cat; puppy; parrot;
        swan; chameleon; badger"""),
    _list("""young; old; curious; sleepy; proud; gentle; watchful; playful; majestic; tiny; lonely; wise"""),
    _list("""resting; looking at the viewer; listening; asleep; drinking from a stream; watching the rain;
        shaking off water; following a firefly; waiting for the spring; hiding among the leaves;
        leaping into the air; stretching; with a crown of flowers; wearing a knitted scarf;
        reading a small book"""),
    _list("""in a misty pine forest; at the edge of a frozen lake; among tall ferns;
        in a field of poppies; on a mossy stone; in an overgrown garden; by a quiet river;
        under a cherry tree; on a windy cliff; in the first snow; on a window sill; in a bamboo grove;
        beneath the northern lights; in shallow water"""),
    _list("""fine fur; detailed feathers; bright eyes; drops of dew; visible breath in the cold;
        soft whiskers; leaves in the foreground; a blurred background; dust in the light"""),
)
PEOPLE: Final = Kind(
    _list("""sailor; violinist; lighthouse keeper; gardener; astronaut; knight; beekeeper; fisherman;
        dancer; watchmaker; librarian; shepherd; potter; explorer; baker; alchemist; pilot; storyteller;
        queen; wanderer; blacksmith; botanist; clown; seamstress; monk; ranger; cellist; mapmaker;
        ferryman; glassblower"""),
    _list("""old; young; weathered; smiling; thoughtful; freckled; tired; brave; elegant; solitary;
        cheerful; silver-haired; bearded; mysterious"""),
    _list("""reading a letter; looking out of the window; holding a lantern; at work; playing for nobody;
        drinking tea; walking home; mending a net; feeding the birds; drawing a map; laughing;
        waiting for a train; carrying a basket of apples; with a raven on one shoulder; in a long coat;
        in a richly embroidered cloak; wearing a wide straw hat; with paint on both hands"""),
    _list("""in a small workshop; in an old library; on a rainy street; in a greenhouse; on a wooden pier;
        in a crowded market; at a kitchen table; in a field of lavender; on a rooftop above the city;
        in an empty theatre; at the bow of a ship; in a snowy village; under a street lamp;
        beside a campfire"""),
    _list("""expressive hands; natural skin; a calm gaze; loose strands of hair; woven fabric;
        worn leather; fine wrinkles; steam rising from a cup; a plain dark background"""),
)
LANDSCAPES: Final = Kind(
    _list("""mountain valley; pine forest; salt desert; river delta; sea cliff; lavender field;
        rice terrace; birch grove; glacier; volcano; waterfall; canyon; orchard; moor; fjord; marsh;
        coral reef; coastline; wheat field; cave lake; dune; alpine lake; tundra; bamboo forest; island;
        vineyard; tea plantation"""),
    _list("""vast; quiet; remote; ancient; misty; windswept; lush; frozen; sunlit; golden; wild"""),
    _list("""after the rain; before a storm; in early spring; in late autumn; in deep winter; at low tide;
        under drifting clouds; with a narrow path; with a single tree; with grazing horses;
        with a distant cabin; crossed by a stone bridge; covered in wildflowers; with birds rising;
        with a small red tent"""),
    _list("""seen from a hill; seen from the air; seen through an open window; reflected in still water;
        with mountains behind; beneath a huge moon; under the milky way; beneath a double rainbow;
        with mist in the hollows; with the sea beyond"""),
    _list("""layered hills; rolling fog; rippled sand; wet stones; long grass in the wind;
        scattered clouds; distant rain; falling leaves; a winding river"""),
)
BUILDINGS: Final = Kind(
    _list("""lighthouse; cottage; castle; greenhouse; train station; temple; windmill; bookshop;
        treehouse; cathedral; observatory; fishing village; market square; bakery; monastery; farmhouse;
        stone bridge; clock tower; library; tea house; harbour town; courtyard; staircase; museum; cafe;
        water mill; pagoda"""),
    _list("""abandoned; crooked; tiny; grand; old; whitewashed; moss-covered; half-timbered; brick;
        wooden; hidden; floating; sunken; ivy-clad; futuristic; snow-covered"""),
    _list("""with glowing windows; with a spiral staircase; with smoke rising from the chimney;
        full of plants; with a blue door; with a copper roof; surrounded by roses;
        strung with paper lanterns; with tall arches; with stained glass; with laundry in the wind;
        overgrown with vines; with a cat in the doorway"""),
    _list("""on a rocky shore; at the end of a lane; in a deep forest; above the clouds; beside a canal;
        on a steep hill; in a narrow alley; at the foot of a mountain; on the edge of a desert;
        in heavy rain; in the old town; under falling snow; between two cliffs;
        on the back of a giant turtle"""),
    _list("""weathered stone; peeling paint; wet cobblestones; intricate woodwork; rusted iron;
        warm lamps; long shadows; puddles on the ground; tiled walls"""),
)
STILL_LIFES: Final = Kind(
    _list("""bowl of lemons; teapot; vase of peonies; loaf of bread; stack of books; bunch of grapes;
        old camera; pocket watch; violin; slice of cake; bowl of ramen; basket of mushrooms; seashell;
        glass of water; pair of boots; typewriter; plate of figs; cup of coffee; globe; candle;
        pomegranate; jar of honey; music box; bouquet of wildflowers; chessboard; compass; paper crane;
        terrarium"""),
    _list("""simple; rustic; antique; porcelain; glass; half-finished; delicate; colourful; dusty;
        handmade; miniature; gilded"""),
    _list("""beside an open letter; with a single fallen petal; next to a folded cloth;
        with crumbs around it; catching the light; with steam rising; beside a bowl of cherries;
        with a reflection; with a sleeping cat behind; surrounded by autumn leaves; beneath a glass dome"""),
    _list("""on a linen tablecloth; on a marble counter; on a wooden table; on a window sill;
        on black velvet; in an empty room; on a pile of maps; in the grass; on a stone wall;
        against a plain wall; on a blue cloth"""),
    _list("""crisp texture; glossy surfaces; soft folds; droplets of water; visible grain;
        subtle reflections; a shallow depth of field; gentle shadows"""),
)
JOURNEYS: Final = Kind(
    _list("""steam train; hot-air balloon; sailing ship; airship; red bicycle; tram; rowing boat;
        camper van; submarine; biplane; sled; caravan; motorcycle; space station; lunar rover; paper boat;
        ferry; cable car; starship; hay cart; canoe; tugboat; vintage car; night bus; glider"""),
    _list("""old; rusty; bright yellow; elegant; brass; tiny; huge; battered; silent; hand-painted;
        streamlined; forgotten; patched"""),
    _list("""leaving at dawn; coming home; racing the wind; crossing a long bridge; at rest;
        breaking through fog; loaded with flowers; trailing smoke; full of travellers; lit from within;
        turning a corner; drifting; gliding past; half buried in sand"""),
    _list("""above a sea of clouds; on a mountain pass; through a field of sunflowers; in a quiet harbour;
        on a rain-soaked street; across a frozen lake; under a sky of stars; along the coast;
        in orbit above a blue planet; between skyscrapers; in a red desert; on a glassy sea;
        through a tunnel of trees"""),
    _list("""polished metal; billowing sails; glowing lamps; spray in the air; motion blur; worn paint;
        a long wake; sparks; a cloud of dust"""),
)
FANTASY: Final = Kind(
    _list("""dragon; forest spirit; clockwork bird; mermaid; griffin; stone giant; phoenix; unicorn;
        moon rabbit; walking castle; crystal tree; robot gardener; cloud whale; fairy; gnome;
        living lantern; sea serpent; tiny wizard; mushroom king; paper dragon; glass deer; star weaver;
        friendly ghost; small robot"""),
    _list("""ancient; luminous; gentle; sleeping; tiny; colossal; shy; translucent; moss-covered; wise;
        golden; curious; forgotten"""),
    _list("""guarding a book; collecting fallen stars; watering the flowers; curled around a tower;
        dancing; lighting the way; meeting a child; playing a flute; emerging from the water;
        carrying the moon; made of leaves; made of stained glass; surrounded by fireflies;
        asleep on a pile of books"""),
    _list("""in an enchanted forest; in a hidden valley; above a sleeping town; at the bottom of the sea;
        in a city of glass; inside a snow globe; in a ruined temple; on a floating island;
        in a crystal cave; at the edge of the world; in a moonlit clearing; in a library without end"""),
    _list("""glowing runes; iridescent scales; floating particles; delicate wings; twisting roots;
        swirling magic; tiny lights; intricate ornament; drifting petals"""),
)
KINDS: Final = (ANIMALS, PEOPLE, LANDSCAPES, BUILDINGS, STILL_LIFES, JOURNEYS, FANTASY)

MEDIA: Final = _list("""oil painting; watercolor; photograph; charcoal sketch; ink drawing;
    pencil drawing; digital painting; woodblock print; linocut; gouache painting; pastel drawing;
    children's book illustration; botanical illustration; film still; long exposure; macro photograph;
    black and white photograph; paper cutout; stained glass window; mosaic; embroidery;
    clay animation still; low poly render; isometric illustration; pixel art; concept art; matte painting;
    travel poster; etching; fresco; double exposure; instant photograph; tilt-shift photograph;
    storybook illustration; risograph print; impressionist painting; art nouveau poster; ukiyo-e print;
    cyanotype; minimalist vector illustration""")
LIGHT: Final = _list("""soft morning light; golden hour; blue hour; warm candlelight; moonlight;
    dramatic chiaroscuro; backlight; dappled sunlight; neon glow; overcast light; volumetric light;
    rim light; light through a window; firelight; pale winter sun; stormy light; bioluminescent glow;
    low evening sun; harsh noon sun; soft diffused light; lantern light; long shadows at dusk; starlight;
    light through fog""")
MOODS: Final = _list("""serene; melancholic; whimsical; mysterious; joyful; nostalgic; dreamlike; cozy;
    epic; tense; tender; playful; solemn; hopeful; eerie; tranquil; magical; quiet; adventurous; romantic;
    lonely but hopeful; warm and inviting""")
PALETTES: Final = _list("""muted earth tones; pastel colours; deep blues and gold; vivid colours;
    teal and orange; black and white with one red accent; warm autumn colours; cool grey and silver;
    jewel tones; sepia tones; soft pinks and greens; high contrast; monochrome; faded colours;
    emerald and copper; limited palette; ochre and indigo""")
COMPOSITIONS: Final = _list("""wide angle; close-up; seen from above; low angle; rule of thirds;
    centered composition; symmetrical composition; shallow depth of field; negative space; panoramic view;
    portrait format; bird's-eye view; framed by branches; leading lines; silhouette; seen from behind;
    extreme close-up; wide establishing shot; soft bokeh""")
FINISHES: Final = _list("""highly detailed; intricate details; sharp focus; fine texture;
    visible brushstrokes; loose brushwork; film grain; clean lines; rough paper texture;
    delicate line work; thick impasto; soft edges; bold shapes; subtle gradients; crisp details;
    hand-drawn; elegant; minimalist; painterly; cinematic""")
TIMES: Final = _list("""at dawn; at dusk; at night; at noon; in spring; in autumn; in winter;
    on a summer evening; on a foggy morning; after midnight; during a thunderstorm; under a full moon;
    in the rain; in the snow; on a quiet afternoon; just before sunrise""")
