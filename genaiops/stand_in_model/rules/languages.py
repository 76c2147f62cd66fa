"""Which language a text is written in, by script and by common words. Good enough to answer in the same one."""

from __future__ import annotations

import re
from typing import Final

_SCRIPTS: Final = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("tr", re.compile(r"[ğışİ]")),
    ("es", re.compile(r"[¿¡ñ]")),
    ("pl", re.compile(r"[łżźśęą]")),
)
_COMMON: Final = {
    "en": "the is my and to i you for not it was have with this can please of",
    "de": "der die das und ich nicht ist mein meine bitte wir sie mit ein eine für seit habe wie auf",
    "fr": "le la les je mon ma et est pas une un vous pour avec bonjour des depuis votre nous sur de se",
    "es": "el la los mi no es y un una por que con para hola de se me desde cuando muy",
    "tr": "ve bir bu için çok değil benim merhaba lütfen var yok nasıl bana ama hesabım olarak",
    "it": "il la mio mia non è e un una per che con ciao di sono grazie come ho",
    "pl": "nie jest i w na się mój moje proszę że z do mam dzień dobry",
    "nl": "de het een en ik niet is mijn voor met van op hallo graag jullie",
    "pt": "o a meu minha não é e um uma por que com para olá de estou",
}
_COMMON_WORDS: Final = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_WORD: Final = re.compile(r"[^\W\d_]+")


def lowered(text: str) -> str:
    """`text` in lower case; the Turkish dotted capital becomes a plain `i`, not an `i` with a combining dot."""
    return text.replace("İ", "i").lower()


def language_of(text: str) -> str:
    """ISO code of the text's language; `en` where nothing speaks for another."""
    for language, letters in _SCRIPTS:
        if letters.search(text):
            return language
    words = _WORD.findall(lowered(text[:2_000]))
    counts = {language: sum(word in common for word in words) for language, common in _COMMON_WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] > counts["en"] else "en"
