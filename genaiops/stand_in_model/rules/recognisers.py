"""What the stand-in model takes for a name, an organisation, a place, a date, an amount or a product code.

They look at capitals, titles, endings and signs, as a simple model does: they miss names that they do not know and find
some that are none. Which of them are used is up to the prompt: see `extraction.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Recogniser:
    """One way in which texts write an entity of a type."""

    type: str
    pattern: re.Pattern[str]
    only_if: str = ""
    """Used only where the prompt's definition of the type speaks of this (a pattern); empty: always."""
    not_if: str = ""
    """Not used where the definition rules this out (a pattern)."""
    foreign: bool = False
    """Used only where the prompt allows any language."""


# Every repetition below has an end: a text made of nothing but capitals or digits must not take long.
_CAP: Final = r"[A-ZÀ-ÖØ-ÞŁŚŻĞİŞ][\w'’-]{1,40}"
_NAME: Final = rf"{_CAP}(?:[ ]{_CAP}){{0,2}}"
_GIVEN: Final = (
    "Ada|Ali|Amina|Ana|Anna|Ben|Carlos|Carmen|Claire|David|Elena|Elke|Emma|Fatma|Hans|Helen|Ingrid|Ivan|Jan|Jean"
    "|Johanna|John|Jonas|José|Julia|Kenji|Lena|Linda|Lucia|Maria|Marie|Mehmet|Michael|Murat|Nadia|Olga|Omar|Paul|Peter"
    "|Pierre|Robert|Samuel|Sara|Sofia|Susan|Tom|Yuki|Zoe"
)
_TITLE: Final = r"(?:Dr|Mr|Mrs|Ms|Prof)\.[ ]|(?:Miss|Sir)[ ]"
_FOREIGN_TITLE: Final = r"(?:Frau|Herrn?|Madame|Monsieur|Señora?|Signora?|Doña|Don)[ ]"
_LEGAL: Final = r"(?:Ltd|Inc|LLC|plc|Corp|Co|GmbH|AG|KG|SE|Oy|AB|BV|SA|SARL|S\.A\.|A\.Ş\.)"
_INSTITUTION: Final = r"(?:University|Council|Bank|Club|Institute|Agency|Ministry|Department|Association|Court)"
_KNOWN_PLACES: Final = (
    "Amsterdam|Athens|Austria|Bath|Berlin|Brazil|Bremen|Bristol|Canada|Chile|China|Cologne|Dublin|Edinburgh|England"
    "|France|Geneva|Germany|Hamburg|India|Italy|Japan|Kenya|Krakow|Leipzig|Lisbon|London|Lyon|Madrid|Milan|Munich"
    "|Nairobi|Oslo|Paris|Poland|Prague|Rome|Rotterdam|Spain|Stockholm|Tokyo|Turkey|Valencia|Vienna|Wales|Zurich"
)
_KNOWN_FOREIGN_PLACES: Final = (
    "Ankara|Deutschland|Genf|Graz|Köln|Londra|Londres|Mailand|Marseille|München|Oporto|Porto|Roma|Sevilla|Toulouse"
    "|Turin|Warszawa|Wien|Zürich|İstanbul|İzmir"
)
_MONTH: Final = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_FOREIGN_MONTH: Final = (
    r"(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"
    r"|janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"
    r"|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre)\b"
)
_WEEKDAY: Final = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_NUMBER: Final = r"\d{1,3}(?:[.,]\d{3}){1,5}(?:[.,]\d{1,2})?|\d{1,15}(?:[.,]\d{1,2})?"
_CURRENCY: Final = r"(?:euros?|dollars?|pounds?|EUR|USD|GBP|CHF)\b"


def _made(kind: str, pattern: str, only_if: str = "", not_if: str = "", *, foreign: bool = False) -> Recogniser:
    return Recogniser(kind, re.compile(pattern), only_if, not_if, foreign)


RECOGNISERS: Final = (
    _made("people", rf"(?:{_TITLE}){{1,3}}{_NAME}", not_if="title"),
    _made("people", rf"(?:{_FOREIGN_TITLE}){{1,2}}(?:{_TITLE}){{0,2}}{_NAME}", not_if="title", foreign=True),
    _made("people", rf"(?:(?<=Dr\. )|(?<=Mr\. )|(?<=Ms\. )|(?<=Mrs\. )|(?<=Prof\. )){_NAME}"),
    _made("people", rf"(?:(?<=Frau )|(?<=Herr )|(?<=Madame )|(?<=Señora ))(?!Dr\.|Prof\.){_NAME}", foreign=True),
    _made("people", rf"\b(?:{_GIVEN})\b(?:[ ]{_CAP}){{0,2}}"),
    _made("people", rf"\b[A-Z]\.[ ]{_CAP}"),
    _made("people", rf"(?<=[a-zà-ÿ,:] ){_CAP}[ ]{_CAP}"),
    _made("people", r"[\u4e00-\u9fff]{2,4}(?=さん|氏|様)", foreign=True),
    _made("organisations", rf"{_CAP}(?:[ ](?:{_CAP}|&|and|et|und)){{0,5}}[ ]{_LEGAL}(?!\w)"),
    _made(
        "organisations",
        rf"(?:{_CAP}[ ]){{1,4}}{_INSTITUTION}\b|\b{_INSTITUTION} of(?: the)? {_CAP}",
        only_if=r"authorit|universit|bank|club|institution",
    ),
    _made(
        "organisations",
        rf"\b(?:Universität|Université|Universidad|Stadtbank|Stadtwerke|Ministerium|Ministère)(?: de)? {_CAP}",
        only_if=r"authorit|universit|bank|club|institution",
        foreign=True,
    ),
    _made("places", rf"\b(?:{_KNOWN_PLACES})\b"),
    _made("places", rf"\b(?:{_KNOWN_FOREIGN_PLACES})\b", foreign=True),
    _made("places", rf"(?:(?<=\bin )|(?<=\bto )|(?<=\bfrom )|(?<=\bnear ))(?!{_MONTH}){_CAP}(?: {_CAP})?"),
    _made("places", rf"(?<=\bin ){_MONTH}", not_if="month"),
    _made("dates", r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{4}\b"),
    _made("dates", rf"\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH}(?: \d{{4}})?|\b{_MONTH} \d{{1,2}}(?:, \d{{4}})?\b(?!\d)"),
    _made("dates", rf"\b{_MONTH} \d{{4}}\b"),
    _made("dates", rf"\b\d{{1,2}}\.? (?:de )?{_FOREIGN_MONTH}(?:(?: de)? \d{{4}})?", foreign=True),
    _made("dates", r"\d{4}年\d{1,2}月\d{1,2}日", foreign=True),
    _made("dates", rf"\b{_WEEKDAY}\b", not_if="weekday"),
    _made("dates", r"(?i)\b(?:today|tomorrow|yesterday|next (?:week|month|year))\b", not_if="relative"),
    _made("dates", r"\b\d{1,2}:\d{2}\b", not_if=r"\btimes?\b"),
    _made("amounts", rf"[€$£¥] ?(?:{_NUMBER})(?: (?:million|billion))?|\b(?:{_NUMBER}) ?(?:€|{_CURRENCY})"),
    _made("amounts", rf"\b(?:{_NUMBER}) ?(?:TL|zł|Euro|円|kr)(?!\w)", foreign=True),
    _made("amounts", r"\b\d{1,9}(?:[.,]\d{1,4})? ?%", not_if="percent"),
    _made("product codes", r"\b[A-Z]{1,4}-?\d{2,5}[A-Z]?(?:[/-][A-Z0-9])?\b"),
    _made("product codes", r"(?<=[Nn]umber )\d{3,15}|#\d{3,15}", not_if="order number"),
    _made("product codes", r"\b0800(?: \d{3,4}){1,3}", not_if="phone"),
    _made("product codes", r"\b\d{4}-\d{2}\b", not_if="date"),
)
