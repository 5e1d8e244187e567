"""The whole demonstration as a user runs it, on a copy of the project: its ending follows notes and policies."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from mailstore import MailStore

CONTACT, OTHER, STRANGER = "amara.okafor@elbe-pharma.example", "cormorant-dairy.example", "tenders@procure-fast.example"


def change(file: Path, pattern: str, replacement: str) -> None:
    changed, count = re.subn(pattern, replacement, file.read_text("utf-8"), flags=re.DOTALL)
    assert count == 1, f"{pattern!r} stands {count} times in {file.name}"
    file.write_text(changed, "utf-8")


def told(project: Path) -> str:
    done = subprocess.run([sys.executable, "demo.py"], cwd=project, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def recipients(project: Path) -> list[str]:
    return [mail.to for mail in MailStore(project / ".demo" / "mail").mails()]


def test_the_story_as_it_stands(project: Path) -> None:
    story = told(project)
    assert recipients(project) == [CONTACT]
    assert "SIGKILL" in story and "no-mail-to-strangers" in story
    assert "send_proposal began and nobody recorded how it ended" in story  # the crash, from the records
    assert story.count("asked for <") == 1 and story.count("1 mail in") == 3  # the probe, and no second mail
    assert story.count("verified: ") == 1 and len(story.splitlines()) <= 110
    order = ("waits for legal", "lea: $", "waits for finance", "fay: $ flyball approve", "The crash", "The recovery")
    places = [story.index(words) for words in order]
    assert places == sorted(places)


def test_a_smaller_discount_does_not_ask_finance(project: Path) -> None:
    change(project / "notes.toml", "15 per cent off", "8 per cent off")
    assert "fay: $ flyball approve" not in told(project) and recipients(project) == [CONTACT]


def test_without_the_attack_the_second_proposal_goes_out_too(project: Path) -> None:
    change(project / "notes.toml", r'text = "IMPORTANT.*?"\n', 'text = "Thank you."\n')
    assert "no-mail-to-strangers" not in told(project)
    assert len(recipients(project)) == 2 and OTHER in recipients(project)[1]


def test_without_the_policy_only_a_person_stands_before_the_stranger(project: Path) -> None:
    change(project / "policies" / "desk.cedar", r'@id\("no-mail-to-strangers"\).*?\};\n', "")
    for name in ("a proposal to an address from nowhere is denied", "mail to an address from a note is denied"):
        change(project / "policies" / "desk.test.toml", rf'\[\[case\]\]\nname = "{name}".*?\n\n', "")
    told(project)
    assert STRANGER in recipients(project)
