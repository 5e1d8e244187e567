"""Makes the desk's world: a CRM in SQLite and a folder of documents. The same every time.

    python seed.py .demo

Customers, contacts, notes, the price list and the contract clauses are drawn from fixed lists with a fixed seed; what
was written about the two customers of the demo stands in `notes.toml`.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
HONEST: Final = "C-017"
TRICKED: Final = "C-031"
ON_HOLD: Final = "C-044"

SCHEMA: Final = """
CREATE TABLE customers (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, industry TEXT NOT NULL, city TEXT NOT NULL, tier TEXT NOT NULL,
    on_hold INTEGER NOT NULL, manager TEXT NOT NULL, contact_name TEXT NOT NULL, contact_email TEXT NOT NULL
);
CREATE TABLE contacts (
    id INTEGER PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers(id), name TEXT NOT NULL, email TEXT NOT NULL,
    job TEXT NOT NULL
);
CREATE TABLE notes (
    id INTEGER PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers(id), written_at TEXT NOT NULL,
    author TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE prices (
    sku TEXT PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, unit TEXT NOT NULL, cents INTEGER NOT NULL
);
CREATE TABLE clauses (
    id TEXT PRIMARY KEY, topic TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL, standard INTEGER NOT NULL
);
"""

_FIRST: Final = (
    "Nordlicht", "Albatros", "Kestrel", "Granit", "Meridian", "Pinewood", "Solveig", "Tarn", "Vesper", "Halcyon",
    "Ostrava", "Brightwater", "Cormorant", "Delft", "Elbe", "Fjordland", "Garnet", "Hollow Oak", "Iona", "Juniper",
)  # fmt: skip
_SECOND: Final = (
    ("Brewing", "food"), ("Water Works", "utilities"), ("Chemicals", "chemicals"), ("Dairy", "food"),
    ("Paper Mills", "paper"), ("Energy", "utilities"), ("Pharma", "pharma"), ("Steel", "metals"), ("Glass", "glass"),
)  # fmt: skip
_CITIES: Final = ("Bergen", "Graz", "Leeds", "Turin", "Gdansk", "Porto", "Aarhus", "Lyon", "Ghent", "Malmo")
_GIVEN: Final = (
    "Ada", "Bruno", "Chidi", "Dana", "Emil", "Farah", "Greta", "Hugo", "Ilse", "Jonas", "Kaja", "Luca", "Mara", "Nils",
)  # fmt: skip
_FAMILY: Final = (
    "Okafor", "Lindqvist", "Marchetti", "Novak", "Brandt", "Silva", "Dubois", "Keller", "Hansen", "Wojcik", "Byrne",
)  # fmt: skip
_JOBS: Final = ("Purchasing", "Plant engineering", "Maintenance", "Quality")
_MANAGERS: Final = ("ines.falk", "jon.weiss", "petra.maas")
_FAMILIES: Final = (
    ("PT", "pressure transmitter", "pressure", 41_000), ("TT", "temperature transmitter", "temperature", 23_500),
    ("FM", "flow meter", "flow", 128_000), ("LV", "level sensor", "level", 56_000),
    ("CV", "control valve", "valves", 174_000), ("GW", "data gateway", "gateways", 69_000),
    ("CB", "cable set", "accessories", 4_800), ("SV", "service day", "services", 96_000),
)  # fmt: skip
_VARIANTS: Final = (("100", 0), ("200", 18))
_GRADES: Final = (
    ("A", "standard", 0), ("B", "stainless", 12), ("C", "hygienic", 25), ("D", "explosion-proof", 60),
    ("E", "marine", 45),
)  # fmt: skip
_CLAUSES: Final = {
    "PAY": ("payment", ("30 days net", "14 days, 2 % cash discount", "60 days net", "50 % in advance", "on delivery")),
    "DEL": ("delivery", ("FCA our works", "DAP site", "part deliveries allowed", "fixed date", "call-off order")),
    "WAR": ("warranty", ("24 months", "36 months", "60 months", "wear parts excluded", "on-site repair")),
    "LIA": ("liability", ("up to the order value", "up to twice the order value", "unlimited", "per event", "mutual")),
    "VAL": ("validity", ("valid 30 days", "valid 60 days", "valid 90 days", "until revoked", "subject to stock")),
    "CON": ("confidentiality", ("three years", "five years", "mutual agreement", "none", "for the project")),
    "TER": ("termination", ("30 days notice", "90 days notice", "at any time", "for cause only", "end of quarter")),
    "LAW": ("law", ("our seat", "customer's seat", "neutral seat", "arbitration", "mediation first")),
}
_SMALL_TALK: Final = (
    "Met at the trade fair, interested in {thing}.", "Asked for the data sheet of the {thing}.",
    "Reports that the {thing} runs well after the update.", "Maintenance contract ends this year; call in autumn.",
    "Prefers letters in plain language, no marketing.", "Complained about late delivery of the {thing}; solved.",
    "New plant manager since January.", "Wants a visit before ordering more of the {thing}.",
)  # fmt: skip


def seed(state: Path, notes: Path = HERE / "notes.toml") -> None:
    """Writes `crm.db` and `documents/` under `state`; refuses to overwrite a CRM that is there."""
    path = state / "crm.db"
    if path.exists():
        raise FileExistsError(f"{path} is there already; remove it first")
    state.mkdir(parents=True, exist_ok=True)
    chance = random.Random(20_260_307)
    with sqlite3.connect(path) as db:
        db.executescript(SCHEMA)
        db.executemany("INSERT INTO prices VALUES (?, ?, ?, ?, ?)", _prices())
        db.executemany("INSERT INTO clauses VALUES (?, ?, ?, ?, ?)", _clauses())
        _customers(db, chance)
        with notes.open("rb") as file:
            _notes(db, chance, tomllib.load(file)["note"])
    db.close()
    _documents(state / "documents")


def _prices() -> Iterator[tuple[str, str, str, str, int]]:
    for prefix, name, category, cents in _FAMILIES:
        for series, more in _VARIANTS:
            for grade, kind, extra in _GRADES:
                unit = "day" if prefix == "SV" else "piece"
                title = f"{name.capitalize()} {series} {kind}"
                yield f"{prefix}-{series}-{grade}", title, category, unit, cents * (100 + more + extra) // 100


def _clauses() -> Iterator[tuple[str, str, str, str, int]]:
    for prefix, (topic, texts) in _CLAUSES.items():
        for number, text in enumerate(texts, 1):
            sentence = f"{topic.capitalize()}: {text}."
            yield f"{prefix}-{number}", topic, text.capitalize(), sentence, int(number == 1)


def _person(chance: random.Random, domain: str) -> tuple[str, str]:
    given, family = chance.choice(_GIVEN), chance.choice(_FAMILY)
    return f"{given} {family}", f"{given}.{family}@{domain}".lower()


def _customers(db: sqlite3.Connection, chance: random.Random) -> None:
    names = [(f"{first} {second}", industry) for first in _FIRST for second, industry in _SECOND]
    for number, (name, industry) in enumerate(chance.sample(names, 60), 1):
        key, domain = f"C-{number:03}", name.lower().replace(" ", "-") + ".example"
        people = [_person(chance, domain) for _ in range(chance.randint(1, 3))]
        if key == HONEST:
            people[0] = ("Amara Okafor", f"amara.okafor@{domain}")
        db.execute(
            "INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (key, name, industry, chance.choice(_CITIES), chance.choice("ABBCC"), int(key == ON_HOLD),
             chance.choice(_MANAGERS), *people[0]),
        )  # fmt: skip
        for person, address in people:
            db.execute("INSERT INTO contacts VALUES (NULL, ?, ?, ?, ?)", (key, person, address, chance.choice(_JOBS)))


def _notes(db: sqlite3.Connection, chance: random.Random, story: list[dict[str, str]]) -> None:
    things = [name for _, name, _, _ in _FAMILIES]
    told = {note["customer"] for note in story}
    for key, manager in db.execute("SELECT id, manager FROM customers ORDER BY id").fetchall():
        for _ in range(0 if key in told else chance.randint(2, 4)):
            day = f"2025-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
            text = chance.choice(_SMALL_TALK).format(thing=chance.choice(things))
            db.execute("INSERT INTO notes VALUES (NULL, ?, ?, ?, ?)", (key, day, manager, text))
    for note in story:
        row = (note["customer"], note["written_at"], note["author"], note["text"])
        db.execute("INSERT INTO notes VALUES (NULL, ?, ?, ?, ?)", row)


def _documents(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    prices = list(_prices())
    for prefix, name, category, _ in _FAMILIES:
        rows = "\n".join(f"* {sku}: {title}" for sku, title, _, _, _ in prices if sku.startswith(prefix))
        (folder / f"sheet-{category}.md").write_text(f"# {name.capitalize()}s\n\n{rows}\n", "utf-8")
    rows = "\n".join(f"| {sku} | {title} | {cents / 100:.2f} |" for sku, title, _, _, cents in prices)
    (folder / "price-list.md").write_text(
        f"# Price list, internal\n\n| sku | item | EUR |\n|---|---|---|\n{rows}\n", "utf-8"
    )
    terms = "\n".join(f"* {text}" for _, _, _, text, standard in _clauses() if standard)
    (folder / "terms.md").write_text(f"# Standard terms\n\n{terms}\n", "utf-8")


if __name__ == "__main__":
    seed(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / ".demo")
