"""Speaks SMTP to the company's mail server, and can ask its store what became of a mail.

The idempotency key of a call becomes the Message-ID, so that after a crash the store can be asked for it. What the
server surely did not take raises `Refused`; anything else that goes wrong is left as it is: nobody knows then.
"""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Final

from mailstore import MailStore

DOMAIN: Final = "desk.example"
SENDER: Final = f"proposals@{DOMAIN}"
# A folded Message-ID is another Message-ID to whoever searches for it.
_POLICY: Final = SMTP.clone(max_line_length=900)


class Refused(Exception):
    """The server did not accept the mail."""


@dataclass(frozen=True, slots=True)
class Mailer:
    """A mail server at `host:port`, and the folder in which it keeps what it accepted. `timeout` in seconds."""

    host: str
    port: int
    store: MailStore
    timeout: float = 10.0

    def send(self, message: EmailMessage) -> None:
        """Returns when the server answered 250; raises Refused where it certainly did not take the mail."""
        try:
            server = smtplib.SMTP(self.host, self.port, timeout=self.timeout)
        except (OSError, smtplib.SMTPException) as down:
            raise Refused(f"the mail server at {self.host}:{self.port} cannot be reached") from down
        with server:
            try:
                server.send_message(message)
            except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refused:
                raise Refused(f"the mail server refused the mail: {refused}") from refused

    def accepted(self, key: str) -> str | None:
        """The name under which the server keeps the mail of this key, or None."""
        return self.store.find(message_id(key))


def message_id(key: str) -> str:
    """The Message-ID of the mail that belongs to an idempotency key."""
    return f"<{key}@{DOMAIN}>"


def letter(key: str, to: str, subject: str, body: str) -> EmailMessage:
    """A mail with one plain text part."""
    message = EmailMessage(_POLICY)
    message["From"], message["To"], message["Subject"] = SENDER, to, subject
    message["Message-ID"] = message_id(key)
    message.set_content(body)
    return message


def mailer_at(host: str, port: int, folder: Path) -> Mailer:
    """The mailer for a server and its folder."""
    return Mailer(host, port, MailStore(folder))
