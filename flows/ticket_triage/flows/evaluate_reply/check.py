"""Checks one reply: its format, its length, its language, and that it promises nothing."""

from __future__ import annotations

import re
from typing import Optional, TypedDict

from promptflow.core import tool

# What support must not promise before anybody has looked: an outcome, money, or a time.
PROMISES = re.compile(
    r"\b(?:guarantee|we promise|i promise|full refund|free of charge|within \d+ (?:hours?|days?)|hereby refund"
    r"|garantier|versprech\w*|innerhalb von \d+|erstatten ihnen"
    r"|garantiss|promett|sous \d+ (?:heures|jours)|rembourserons"
    r"|garantiza|promet(?:o|emos)|en \d+ horas|reembolsaremos"
    r"|garanti ed|söz ver|\d+ saat içinde)|保証|約束|以内"
    r"|\b\d+\s?(?:euros?|eur|dollars?)\b|[€$]\s?\d",
    re.IGNORECASE,
)
# Words that only one language uses this often; scripts decide for the languages that have their own.
WORDS = {
    "en": "the you your our thank we are is have please us what about",
    "de": "wir ihre ihnen danke bitte die der den für sie und unsere nachricht",
    "fr": "nous votre vous merci notre pour le la est pouvons avons",
    "es": "su gracias por el la qué estamos hemos podemos nuestros mensaje",
    "tr": "için lütfen teşekkürler ediyoruz inceliyor size ekibimiz olabileceğimizi mesajınız mesajınızı ilettik",
    "it": "grazie per il la suo siamo abbiamo stiamo nostro messaggio",
    "pl": "dziękujemy za się nie jest proszę państwa naszego wiadomość",
    "nl": "bedankt voor uw het een wij we bericht onze niet",
    "pt": "obrigado pela sua mensagem nós nossa estamos você não",
}
SCRIPTS = {"ja": r"[\u3040-\u30ff]", "ar": r"[\u0600-\u06ff]", "ru": r"[\u0400-\u04ff]", "ko": r"[\uac00-\ud7af]"}
READ = 4_000  # characters that are looked at for promises and language; a longer reply fails by its length anyway
QUOTATION = re.compile(r"[“„«「].*[”“»」]", re.DOTALL)  # what the customer wrote is not the reply's own language


class Check(TypedDict):
    format_ok: float
    length_ok: float
    no_forbidden_promises: float
    language_ok: float
    score: float


@tool
def check(reply: Optional[str], language: str, max_characters: int) -> Check:
    """Each check is 1.0 or 0.0; the score is their mean."""
    text = (reply or "").strip()
    own_words = QUOTATION.sub(" ", text[:READ])
    checks = {
        "format_ok": float(bool(text) and "\n" not in text and not text.startswith(("{", "[", "```"))),
        "length_ok": float(0 < len(text) <= int(max_characters)),
        "no_forbidden_promises": float(not PROMISES.search(own_words)),
        "language_ok": float(bool(text) and _language(own_words) == language),
    }
    return {**checks, "score": sum(checks.values()) / len(checks)}


def _language(text: str) -> str:
    for language, letters in SCRIPTS.items():
        if re.search(letters, text):
            return language
    words = re.findall(r"[^\W\d_]+", text.lower())
    counts = {language: sum(word in known.split() for word in words) for language, known in WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] else "unknown"
