"""The page that tells the matrix, written from the matrix: `python -m tests.tamper.page` prints it."""

from __future__ import annotations

from typing import Final

from tests.tamper.cases import CASES, Case
from tests.tamper.forgery import FORGERIES, Forgery
from tests.tamper.sweep import STATED

_TEXT: Final = """# Tamper matrix

What somebody does to a log, and what catches it. Every line is a test over a real project: a database, its keys, its
signer and an export, made by a run that was approved, one that a person denied, one that policy denied, one whose
outcome is unknown, and two that wait. `make test` does every case, and a sample of the edits by seed. `make matrix`
does every edit of every row of every table, flips every byte of the export and of the signer's file, and prints the
counts. This page is written from the same tables (`python -m tests.tamper.page`), and a test compares it.

The whole is about 84 000 cases, shared by as many processes as there are processors. By a sample, an edit of a row
takes 73 ms of processor time and a byte 10 ms: about 20 minutes of processor time in all. `--part N` takes, in order,
every N-th edit of each table and every N-th byte of each kind of file, and all cases and forgeries; `--seed S` decides
which byte and bit an edit of a column flips and which other row it takes a value from. On 20 November 2026 the whole
was run to its end (`--part 1 --jobs 1`, commit `6bac4af`, 17 minutes of one core):

```text
tamper matrix                                cases  refused   found  stated  silent
cases                                           37       12      21       4       0
forged histories, nothing else known            20        0      16       4       0
forged histories, a checkpoint was kept         20        0      20       0       0
rows of blob                                   242       32     192      18       0
rows of body                                    37        0      32       5       0
rows of budget                                 103       14      89       0       0
rows of bundle                                  18        3      14       1       0
rows of checkpoint                             221       30     151      40       0
rows of claim                                   16        3      11       2       0
rows of epoch                                   60       10      44       6       0
rows of hold                                    14        2      12       0       0
rows of key                                     54        4      46       4       0
rows of log                                     19       16       3       0       0
rows of node                                   536       48     488       0       0
rows of pending                                247       16     225       6       0
rows of record                                1725      116    1609       0       0
rows of run                                    351       16     259      76       0
rows of used                                  1407        0    1052     277      78
bytes of checkpoint                            164        0     164       0       0
bytes of checkpoints                          1966        0    1966       0       0
bytes of disclosures                          8926        0    8926       0       0
bytes of manifest.json                        6078        0    6078       0       0
bytes of policies                            16172        0   16172       0       0
bytes of releases                             7925        0    7925       0       0
bytes of tile                                38613        0   38613       0       0
bytes of vkey                                   59        0      59       0       0
bytes of the signer                            598      557      20       0      21
85628 cases, 99 silent, seed 1, 1035 s
```

The 99 that passed were of two kinds. A signer's file with letters of its key or its tree in capitals was read as the
same: it is refused now. Where an append ended (`used.size`), which decides only how it is answered when it is sent
again, was not stated to be out of reach: it is below. Both lines were run again after that, whole: none silent.

Three answers count as caught: a check of `flyball verify` or `flyball ledger verify` fails (the command ends with 5),
opening is refused before anything runs, or the signer refuses to sign. An edit that passes is a violation, unless it is
out of reach for a reason that stands here.

## Files and database

Whoever has an export needs no key to change it: the manifest is made to fit. Whoever may write the database has no key
of the log. (`test_tampering_is_caught_or_out_of_reach_as_said`)

| what is done | who looks | what catches it |
|---|---|---|
{cases}

Besides, by seed: each row deleted, each column and each field of each row changed in several ways
(`test_a_sample_of_edited_rows_is_noticed`), and single bytes flipped (`test_a_sample_of_flipped_bytes_is_noticed`). A
second process is refused while one owns the journal (`test_two_owners_do_not_meet`).

A writer that asks no lock is noticed in every table (`test_a_row_put_into_any_table_is_noticed`); only a sealed value
that no payload names stays, and nobody reads it. Of a write-ahead log that was cut or flipped SQLite keeps what was
whole, and the signer knows of more (`test_what_a_torn_write_ahead_log_loses_is_known_to_the_signer`).

While a process runs, rows decide nothing by themselves (`tests/tamper/test_rows_decide_nothing.py`): a row that says
that something was approved is asked again, a changed policy or key ends with `journal_corrupt`.

## Histories signed with the log's own key

Whoever holds the database and the log's key can sign any history. What they lack is the approvers' keys, and whatever
left the machine before. (`test_a_history_signed_by_a_thief_of_the_logs_key_is_caught`)

| what is forged | what catches it |
|---|---|
{forgeries}

`--approver KEY` names an approver's key, known from elsewhere: then no other approval counts. `--older FILE` is a
checkpoint that was kept.

## Out of reach, and why

| what | why | what shows it |
|---|---|---|
{outside}

These parts of rows are in no leaf, and nothing that happened is read from them. Changing them is not noticed:

| table and field | why it is no evidence |
|---|---|
{stated}
| `budget` of a tenant or an agent: `spent` | a limit of the future; what a run has spent is compared |
| `claim` of a business key | the value is nobody's to see; step keys are compared |
"""


_OUTSIDE: Final = (
    ("database and signer restored together", "the signer's memory is as old as the database",
     "a checkpoint kept elsewhere (`test_a_kept_checkpoint_shows_what_is_out_of_reach_alone`)"),
    ("an older export", "it is a true beginning of the log", "the same"),
    ("a history rewritten with the log's key, without anything that an approver signed",
     "nothing in it is anybody else's", "the same"),
    ("the tail after the last signature", "it is signed when a run parks or ends, on demand and at close",
     "`flyball ledger checkpoint` after what matters"),
    ("a whole record put in after the last signature, also one that creates an approver's key",
     "nothing there is signed yet; the next checkpoint signs it",
     "`--approver`, for a key; a checkpoint of before, kept elsewhere, says from where on"),
    ("a record that was false when it was written", "the log proves what was recorded",
     "what the other side has recorded"),
    ("a payload destroyed", "a payload is not in the tree",
     "`ledger verify` counts it; the leaf and its proof stand"),
    ("the machine's own user", "it can read the signer's file", "a witness elsewhere"),
)  # fmt: skip


def case(one: Case) -> str:
    """A case's row."""
    caught = f"`{one.caught}`" if one.caught else f"nothing: {one.why}"
    return f"| {one.name} | `{one.by}` | {caught} |"


def forgery(one: Forgery) -> str:
    """A forgery's row."""
    known = "`approvals`, with `--approver`; else " if one.approver else ""
    return f"| {one.name} | {f'`{one.caught}`' if one.caught else f'{known}`older checkpoints`, with `--older`'} |"


def stated(pattern: str, why: str) -> str:
    """The row of what is no evidence."""
    named = pattern.replace("[[]*[]]", "").replace("[[]", " (").replace("[]]", ")").replace(".[*]", ", deleted")
    table, _, field = named.replace(".*", ".any").partition(".")
    return f"| `{table}`: `{field}` | {why} |" if field else f"| `{table.split(',')[0]}`: a row deleted | {why} |"


def written() -> str:
    """The whole page."""
    return _TEXT.format(
        cases="\n".join(map(case, CASES)), forgeries="\n".join(map(forgery, FORGERIES)),
        outside="\n".join(f"| {' | '.join(row)} |" for row in _OUTSIDE),
        stated="\n".join(stated(pattern, why) for pattern, why in STATED.items()),
    )  # fmt: skip


if __name__ == "__main__":
    print(written(), end="")
