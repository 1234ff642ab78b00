"""How a GPT-2 that has no voices of ours is brought to write prompts: by examples, unless it already does.

Priming by a few lines of what is wanted is few-shot prompting (Brown et al. 2020, arXiv:2005.14165).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from limner.params import Voice

HEADING: Final = "Short descriptions of pictures, one on each line:"
EXAMPLES: Final[Mapping[Voice, tuple[str, ...]]] = {
    Voice.STARTER: (
        "a red house at night",
        "a blue sailboat on the sea",
        "a small yellow flower on a meadow",
        "an orange hot-air balloon at sunset",
        "a green tree in the snow",
        "a purple fish on the sea",
        "a yellow car in the desert",
        "a red lighthouse next to a blue boat at sunset",
    ),
    Voice.FULL: (
        "an old fisherman mending a net on a wooden pier, oil painting, warm evening light, quiet mood",
        "a snow leopard on a frozen ridge, soft morning light, photograph, shallow depth of field",
        "a crooked bookshop in a narrow street, glowing windows, light rain, watercolor",
        "a bowl of lemons on a blue cloth, still life, window light, visible brushstrokes",
        "a steam train crossing a stone bridge above the clouds, storybook illustration, golden hour",
        "a wide mountain valley in autumn, low fog between the hills, muted colours, seen from above",
        "a small robot watering the flowers in an overgrown greenhouse, cinematic light, highly detailed",
    ),
}
# Not among the examples: what tells a model of prompts from a model of everything.
_PROMPTS: Final = (
    "portrait of a young woman with red hair, oil painting, soft light, highly detailed",
    "a castle on a cliff, dramatic clouds, digital painting, sharp focus, intricate",
    "cute fox in a forest, watercolor, golden hour, concept art, 8k",
)
_PROSE: Final = (
    "The committee met on Tuesday and agreed that the report should be published by the end of the month.",
    "He told me that he had lived in the city for ten years, but that he had never liked it very much.",
    "If you want to return the product, you should contact the company within thirty days of your order.",
)


def opening(voice: Voice) -> str:
    """The lines to put before what a person typed."""
    return "\n".join((HEADING, "", *EXAMPLES[voice], ""))


def writes_prompts(log_likelihood: Callable[[str], float]) -> bool:
    """Whether a model was trained on prompts: it expects them more than it expects plain prose.

    `log_likelihood`: mean nats a token.
    """
    prompts, prose = (sum(map(log_likelihood, texts)) / len(texts) for texts in (_PROMPTS, _PROSE))
    return prompts > prose
