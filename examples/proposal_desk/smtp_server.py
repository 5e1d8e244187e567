"""A real mail server on loopback that delivers nothing: what it accepts is stored in a folder.

python smtp_server.py .demo/mail            serves on a free port, and prints it
python smtp_server.py .demo/mail --list     prints what is in the store, and what it was asked for
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from email import message_from_bytes
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session
from mailstore import MailStore


class Keep:
    """The server's handler: 250 is answered only when the mail is on disk."""

    def __init__(self, store: MailStore) -> None:
        self.store = store

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Stores one mail."""
        raw = envelope.original_content or b""
        message_id = str(message_from_bytes(raw)["Message-ID"] or "").strip()
        if not message_id:
            return "550 a mail needs a Message-ID"
        name = self.store.add(raw, message_id)
        return f"250 kept as {name}"


async def serve(folder: Path, port: int, until_eof: bool) -> None:
    """Serves until cancelled; with `until_eof`, until standard input closes (so that it ends with its parent)."""
    store, loop = MailStore(folder), asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Keep(store), hostname="desk.example", loop=loop), "127.0.0.1", port)
    print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        if until_eof:
            await asyncio.to_thread(sys.stdin.buffer.read)
        else:
            await server.serve_forever()


def show(folder: Path) -> None:
    """Prints one line per stored mail and one per search for a mail, then how many mails there are."""
    store = MailStore(folder)
    mails = store.mails()
    for mail in mails:
        print(f"{mail.file}  to {mail.to}  {mail.message_id}")
    for search in store.searches():
        print(f"asked for {search}")
    print(f"{len(mails)} mail{'' if len(mails) == 1 else 's'} in {folder}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--list", action="store_true", help="print the stored mails and the searches, and exit")
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input closes")
    args = parser.parse_args()
    if args.list:
        show(args.folder)
        return
    try:
        asyncio.run(serve(args.folder, args.port, args.until_eof))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)


if __name__ == "__main__":
    main()
