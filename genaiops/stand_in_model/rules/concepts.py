"""What the stand-in model knows of the world: concepts, the words that a prompt names them by, and how texts say them.

A label of a prompt means the concepts that its name and its description mention; a text speaks of a concept where one
of its words stands. Words match from their start (`refund` also finds `refunded`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final

_DENSE: Final = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


@dataclass(frozen=True)
class Concept:
    """One thing that texts speak of."""

    name: str
    anchors: str
    """How a prompt mentions it: starts of English words, separated by `|`."""
    english: str
    """How English texts say it, separated by `|`."""
    foreign: str = ""
    """How German, French, Spanish, Turkish and Japanese texts say it, separated by `|`."""

    def meant_by(self, description: str) -> bool:
        """Whether a label's name or description mentions this concept."""
        return bool(self._anchors.search(description.lower()))

    def hits(self, text: str, *, any_language: bool) -> list[int]:
        """The first three places where `text` (in lower case) speaks of it; foreign words need `any_language`."""
        pattern = self._all if any_language else self._english
        return [found.start() for found in islice(pattern.finditer(text), 3)]

    @cached_property
    def _anchors(self) -> re.Pattern[str]:
        return _starts(self.anchors)

    @cached_property
    def _english(self) -> re.Pattern[str]:
        return _starts(self.english)

    @cached_property
    def _all(self) -> re.Pattern[str]:
        return _starts(self.english + ("|" + self.foreign if self.foreign else ""))


def _starts(words: str) -> re.Pattern[str]:
    """A pattern for words that start so; Japanese is written without spaces, so its words match anywhere."""
    parts = words.split("|")
    spaced = [re.escape(part) for part in parts if not _DENSE.search(part)]
    dense = [re.escape(part) for part in parts if _DENSE.search(part)]
    return re.compile("|".join([rf"(?<!\w)(?:{'|'.join(spaced)})", *dense]))


CONCEPTS: Final = (
    Concept(
        "invoice",
        "invoice|bill",
        "invoice|billing|billed|receipt|vat",
        "rechnung|beleg|facture|factura|fatura|請求|領収書",
    ),
    Concept(
        "payment",
        "payment|charge|paid|pay",
        "charge|payment|paid|credit card|debit|bank transfer|iban|price|cost",
        "zahlung|bezahl|abgebucht|abbuchung|kreditkarte|preis|paiement|payé|prélev|débit|carte bancaire|prix"
        "|pago|cobr|cargo|tarjeta|precio|ödeme|ödedi|kart|ücret|fiyat|支払|決済|料金|引き落と",
    ),
    Concept(
        "refund",
        "refund|money back",
        "refund|money back|reimburse",
        "erstatt|geld zurück|rembours|reembols|devolución del dinero|iade|返金",
    ),
    Concept(
        "subscription",
        "subscription|plan",
        "subscription|monthly plan|annual plan|renewal|free trial",
        "abonnement|abo |suscripci|abonelik|サブスク|プラン",
    ),
    Concept(
        "error",
        "error|technical|bug|crash|not work",
        "error|crash|bug|freez|exception|blank page|white screen|stack trace|not working|doesn't work|does not work"
        "|stopped working|broken|fails",
        "fehler|absturz|stürzt|abgestürzt|funktioniert nicht|erreur|plante|bogue|ne marche|ne fonctionne"
        "|no funciona|fallo|se cierra|se cuelga|hata|çöküyor|çalışmıyor|donuyor|エラー|落ち|動かな|不具合|バグ",
    ),
    Concept(
        "slowness",
        "slow|performance",
        "slow|takes forever|timeout|times out|loading|laggy",
        "langsam|lädt|lent|rame|lento|tarda|yavaş|遅い|重い",
    ),
    Concept(
        "outage",
        "outage|is down|service down",
        "outage|is down|offline|unreachable|503|502|unavailable|nobody can",
        "ausfall|nicht erreichbar|en panne|hors service|inaccessible|caído|caída|çöktü|erişilemiyor|ulaşılamıyor"
        "|停止|障害|つながらな",
    ),
    Concept(
        "software",
        "app|software|website|api",
        "the app|your app|android|ios|update|browser|api|export|import|plugin|sync|upload|printer|webhook",
        "aktualisierung|mise à jour|navigateur|actualización|actualizar|navegador|güncelleme|uygulama|tarayıcı"
        "|アプリ|アップデート|ブラウザ",
    ),
    Concept("account", "account|profile", "account|profile|username", "konto|compte|cuenta|hesab|アカウント"),
    Concept(
        "login",
        "login|log in|sign in|password|access",
        "log in|login|log into|sign in|password|locked out|two-factor|2fa|verification code|reset link",
        "einloggen|anmelden|anmeldung|passwort|gesperrt|connecter|connexion|mot de passe|bloqué"
        "|iniciar sesión|contraseña|acceder|bloquead|giriş|şifre|parola|ログイン|パスワード",
    ),
    Concept(
        "personal data",
        "personal data|profile data|email address",
        "email address|change my name|delete my data|gdpr|my data|personal data|phone number",
        "e-mail-adresse|dsgvo|meine daten|löschen|adresse e-mail|adresse mail|rgpd|mes données|correo electrónico"
        "|mis datos|e-posta adres|kvkk|verilerim|メールアドレス|個人情報|退会",
    ),
    Concept(
        "parcel",
        "parcel|deliver|shipment|shipping",
        "parcel|package|deliver|shipment|shipping|courier|tracking",
        "paket|liefer|sendung|versand|colis|livr|expédi|paquete|entrega|envío|repartidor|kargo|teslim"
        "|配達|配送|届|荷物|追跡",
    ),
    Concept(
        "order",
        "order",
        "my order|order number|ordered|order #|item",
        "bestell|artikel|commande|commandé|pedido|pedí|sipariş|注文|商品",
    ),
    Concept(
        "return",
        "return|exchange|damaged",
        "return|exchange|damaged|wrong size|wrong colour|wrong item",
        "rücksend|zurückschick|umtausch|beschädigt|retour|renvoyer|échang|abîmé|endommag|devolver|cambiar la talla"
        "|dañad|değişim|hasarlı|kırık|返品|交換|破損",
    ),
    Concept(
        "praise",
        "praise|feedback|compliment",
        "love|great|thank you so much|awesome|fantastic|excellent|well done|feedback|amazing",
        "großartig|toll|super|lob|danke für|bravo|génial|merci pour|félicit|excelente|encanta|felicidades"
        "|harika|teşekkür|mükemmel|tebrik|素晴らし|ありがとう|最高",
    ),
    Concept(
        "wish",
        "wish|suggestion|feature|idea|improve",
        "would be nice|would be great|feature request|please add|suggest|dark mode|wish|it would help|idea",
        "wünsch|vorschlag|wäre schön|wäre toll|suggestion|ce serait|j'aimerais que|sugerencia|estaría bien"
        "|me gustaría que|öneri|keşke|eklenirse|要望|提案|欲しい|ほしい",
    ),
    Concept(
        "complaint",
        "complain|criticism|opinion",
        "disappoint|unfriendly|rude|annoying|ugly|worse",
        "enttäusch|unfreundlich|unmöglich|déçu|décev|désagréable|decepcion|grosero|hayal kırıklığı|kaba|残念|ひどい",
    ),
    Concept(
        "spam",
        "spam|advert|nothing to do|unrelated",
        "seo |guest post|casino|crypto|lottery|backlink|business proposal|press release|job offer|internship",
        "gewinnspiel|praktikum|loterie|stage |lotería|prácticas|piyango|staj|求人|広告",
    ),
    Concept(
        "urgent",
        "urgent|high",
        "urgent|asap|immediately|right now|emergency|!!!",
        "dringend|sofort|umgehend|eilt|immédiatement|au plus vite|urgente|inmediatamente|ya mismo|acil|hemen"
        "|至急|緊急|今すぐ",
    ),
    Concept(
        "deadline",
        "deadline|time runs|hours",
        "today|tonight|tomorrow|deadline|within the hour|by noon|this afternoon|in an hour|before friday",
        "heute|morgen früh|bis freitag|frist|aujourd'hui|demain|ce soir|délai|hoy|mañana|esta noche|plazo"
        "|bugün|yarın|bu akşam|今日|明日|本日|今夜",
    ),
    Concept(
        "security",
        "security|fraud|stolen|hack",
        "hack|fraud|stolen|phishing|unauthori|did not authorise|security|leak|someone else|not me",
        "gehackt|betrug|gestohlen|unbefugt|piraté|fraude|volé|hackead|robad|fraude|hacklen|dolandır|çalındı"
        "|不正|盗|乗っ取",
    ),
    Concept(
        "stuck",
        "cannot work|blocked|lost money|standstill",
        "cannot work|can't work|blocking|blocked|standstill|losing money|losing customers|all our|whole team|no access",
        "arbeiten nicht|stillstand|blockiert|ganze team|ne peut plus travailler|toute l'équipe|à l'arrêt"
        "|no podemos trabajar|todo el equipo|perdiendo|çalışamıyoruz|tüm ekip|業務が止|全員|仕事ができ",
    ),
    Concept(
        "no hurry",
        "no hurry|low|wait",
        "no hurry|no rush|whenever|not urgent|when you have time",
        "keine eile|nicht eilig|pas pressé|pas urgent|rien ne presse|sin prisa|no es urgente|acelesi yok"
        "|acil değil|急ぎでは|急ぎません|お時間のある",
    ),
    Concept(
        "question",
        "question|how to|curious|information",
        "how do i|how can i|just wondering|where can i|is it possible|curious|do you offer|do you have",
        "wie kann ich|wo finde|gibt es|frage|comment puis|où puis|est-ce possible|proposez|cómo puedo|dónde puedo"
        "|es posible|ofrecen|nasıl|mümkün mü|var mı|どうすれば|教えて|できますか|ありますか",
    ),
)
