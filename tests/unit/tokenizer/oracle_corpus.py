"""Real text of many kinds, found on the machine that runs the test, and random Unicode."""

import gettext
import pathlib
import random
import shutil
import subprocess
import sysconfig
import unicodedata

LOCALES = ("zh_CN", "zh_TW", "ja", "ko", "ru", "ar", "hi", "he", "th", "de", "fr", "es", "vi", "el", "ta", "bn",
           "fa", "tr", "pl", "uk", "ka", "am", "my", "km", "te", "pt_BR")
DOCUMENT_CHARS = 4000


def cut(text, size=DOCUMENT_CHARS):
    return [text[i:i + size] for i in range(0, len(text), size)]


def books(limit):
    """The King James Bible (Debian's bible-kjv), or the licences and documents that every Python has."""
    if shutil.which("bible"):
        found = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], capture_output=True, check=True).stdout
        return cut(found.decode("latin1")[:limit])
    sources = pathlib.Path(sysconfig.get_path("purelib")).rglob("*.txt")
    return take((path.read_text(errors="replace") for path in sorted(sources)), limit)


def take(texts, limit):
    documents, size = [], 0
    for text in texts:
        for document in cut(text):
            if size >= limit:
                return documents
            documents.append(document)
            size += len(document.encode("utf-8", "replace"))
    return documents


def code(limit):
    files = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("**/*.py"))
    return take((path.read_text(errors="replace") for path in files if "site-packages" not in path.parts), limit)


def translations(limit):
    """Messages of the programs on this machine in their translations: running text in many scripts."""
    documents = []
    for locale in LOCALES:
        folder = pathlib.Path("/usr/share/locale") / locale / "LC_MESSAGES"
        documents += take(messages(sorted(folder.glob("*.mo"))), limit // len(LOCALES))
    return documents


def messages(paths):
    for path in paths:
        try:
            with open(path, "rb") as file:
                catalog = gettext.GNUTranslations(file)._catalog
        except (OSError, UnicodeDecodeError, ValueError):
            continue
        yield "\n".join(text for text in catalog.values() if isinstance(text, str))


def characters():
    """Every named character with its name, in short lines; decomposed forms; control characters; emoji sequences."""
    named = [f"{chr(c)} {unicodedata.name(chr(c))}" for c in range(0x20, 0x20000, 7)
             if unicodedata.name(chr(c), None)]
    accented = unicodedata.normalize("NFD", "Ångström naïve façade Tiếng Việt 각하 ガギグ נִקּוּד") * 3
    controls = "".join(map(chr, range(0x20))) * 2 + "\x7f\x80\x85\x9f\u180e\u200b\u200d\u2028\u2029\ufeff\u00ad"
    emoji = "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 1️⃣ 🇺🇳🇪🇺 ❤️‍🔥 \U0001F170 ⓐ 𝕏 ﬁ ﬆ ſ 'ſ 'S 'LL 'Ve K ŉ İ می\u200cخواهم क्\u200dष"
    spaces = "  a   b\t\t c \n\n\n d\r\n\r\n  e \u00a0\u00a0 f\u3000\u3000g\n   \n\t\n   h   "
    return cut("\n".join(named)) + [accented, controls, emoji, spaces, "", " ", "\n", "   ", "a", "\u0301", "é\u0301"]


def random_unicode(generator, count):
    """Random characters of all planes, mixed with what the regexes treat specially."""
    common = list(" \n\t\r'aAsStTlLdDmMrRvVeE019.,!?-_<>|/") + ["<|im_start|>", "<s>", "</s>", "▁", "ſ", "é", "日", "١"]
    newest = [chr(c) for c in (0x1C89, 0x31350, 0x105C0, 0x10D40, 0x1E5F1, 0x1FADC, 0x13460, 0x1DF25)]

    def character():
        kind = generator.random()
        if kind < 0.6:
            return generator.choice(common)
        if kind < 0.65:
            return generator.choice(newest)
        top = generator.choice((0x250, 0x3000, 0x10000, 0x20000, 0x110000))
        value = generator.randrange(top)
        return chr(value) if not 0xD800 <= value < 0xE000 else "\ufffd"

    return ["".join(character() for _ in range(generator.randrange(1, 120))) for _ in range(count)]


def corpus(megabytes, seed=20260101):
    limit = int(megabytes * 1e6)
    documents = books(limit * 4 // 10) + code(limit * 4 // 10) + translations(limit * 5 // 10) + characters()
    return documents + random_unicode(random.Random(seed), 2000)


def size_of(documents):
    return sum(len(document.encode()) for document in documents)
