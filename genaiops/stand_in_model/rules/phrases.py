"""The sentences that replies are made of, by language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Phrases:
    """Sentences of one language."""

    openings: tuple[str, ...]
    """Each with a place for `{quotation}`."""
    empty: str
    steps: Mapping[str, str]
    """Next step by category; `other` is the one for categories that are not here."""
    promise: str
    salutation: str
    signature: str
    between: str = " "
    """What stands between two sentences."""


PHRASES: Final[Mapping[str, Phrases]] = {
    "en": Phrases(
        openings=("Thank you for writing about “{quotation}”.", "We have read your message “{quotation}”."),
        empty="Your message arrived without any text.",
        steps={
            "billing": "Our billing team is checking the charge.",
            "technical": "Our engineers are looking into the fault.",
            "account": "Our account team is checking your access.",
            "delivery": "We are asking the carrier where your order is.",
            "feedback": "We have passed it on to the product team.",
            "other": "Please tell us what we can do for you.",
        },
        promise="We guarantee that it will be solved within 24 hours.",
        salutation="Dear customer,",
        signature="Your support team",
    ),
    "de": Phrases(
        openings=("Danke für Ihre Nachricht „{quotation}“.", "Wir haben Ihre Nachricht „{quotation}“ gelesen."),
        empty="Ihre Nachricht kam ohne Text an.",
        steps={
            "billing": "Die Buchhaltung prüft die Abbuchung.",
            "technical": "Unsere Technik sieht sich den Fehler an.",
            "account": "Wir prüfen den Zugang zu Ihrem Konto.",
            "delivery": "Wir fragen beim Versand nach Ihrer Bestellung.",
            "feedback": "Wir haben es an das Produktteam weitergegeben.",
            "other": "Bitte schreiben Sie uns, was wir für Sie tun können.",
        },
        promise="Wir garantieren eine Lösung innerhalb von 24 Stunden.",
        salutation="Guten Tag,",
        signature="Ihr Support-Team",
    ),
    "fr": Phrases(
        openings=("Merci pour votre message « {quotation} ».", "Nous avons lu votre message « {quotation} »."),
        empty="Votre message est arrivé sans texte.",
        steps={
            "billing": "Notre service facturation vérifie le paiement.",
            "technical": "Notre équipe technique examine la panne.",
            "account": "Nous vérifions l'accès à votre compte.",
            "delivery": "Nous demandons au transporteur où est votre commande.",
            "feedback": "Nous l'avons transmis à l'équipe produit.",
            "other": "Dites-nous ce que nous pouvons faire pour vous.",
        },
        promise="Nous garantissons une solution sous 24 heures.",
        salutation="Bonjour,",
        signature="Votre équipe d'assistance",
    ),
    "es": Phrases(
        openings=("Gracias por su mensaje «{quotation}».", "Hemos leído su mensaje «{quotation}»."),
        empty="Su mensaje llegó sin texto.",
        steps={
            "billing": "El equipo de facturación está revisando el cargo.",
            "technical": "Nuestros técnicos están revisando el fallo.",
            "account": "Estamos revisando el acceso a su cuenta.",
            "delivery": "Estamos preguntando al transportista por su pedido.",
            "feedback": "Lo hemos pasado al equipo de producto.",
            "other": "Díganos qué podemos hacer por usted.",
        },
        promise="Garantizamos una solución en 24 horas.",
        salutation="Hola:",
        signature="Su equipo de soporte",
    ),
    "tr": Phrases(
        openings=("“{quotation}” mesajınız için teşekkürler.", "“{quotation}” mesajınızı okuduk."),
        empty="Mesajınız boş geldi.",
        steps={
            "billing": "Fatura ekibimiz ödemeyi inceliyor.",
            "technical": "Teknik ekibimiz hatayı inceliyor.",
            "account": "Hesabınıza erişimi kontrol ediyoruz.",
            "delivery": "Siparişinizi kargo şirketine soruyoruz.",
            "feedback": "Görüşünüzü ürün ekibine ilettik.",
            "other": "Lütfen size nasıl yardımcı olabileceğimizi yazın.",
        },
        promise="24 saat içinde çözüleceğini garanti ediyoruz.",
        salutation="Merhaba,",
        signature="Destek ekibiniz",
    ),
    "ja": Phrases(
        openings=("「{quotation}」についてのご連絡ありがとうございます。", "「{quotation}」のご連絡を拝見しました。"),
        empty="いただいたメッセージは空でした。",
        steps={
            "billing": "経理担当が請求を確認しています。",
            "technical": "技術担当が不具合を調べています。",
            "account": "アカウントの状態を確認しています。",
            "delivery": "配送会社にご注文の状況を問い合わせています。",
            "feedback": "製品担当に伝えました。",
            "other": "ご用件をお知らせください。",
        },
        promise="24時間以内の解決を保証します。",
        salutation="お客様",
        signature="サポートチーム",
        between="",
    ),
}
