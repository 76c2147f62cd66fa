import re
from pathlib import Path

from promptflow import tool


@tool
def fetch_text_content(notice: str):
    page = Path(__file__).parent / "pages" / f"{notice}.html"
    try:
        html = page.read_text(encoding="utf-8")
    except OSError:
        print(f"{notice} cannot be read")
        return "No text"
    body = re.search("<body>(.*)</body>", html, re.DOTALL).group(1)
    return re.sub("<[^>]+>", "", body).strip()[:2000]
