"""Numbers that can be checked: payment cards (Luhn, ISO/IEC 7812-1) and bank accounts (IBAN, ISO 13616, mod 97-10)."""

from __future__ import annotations

from typing import Final

CARD_DIGITS: Final = range(13, 20)
# Length by country, from the IBAN registry: a code that is not in it is no account.
IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: str) -> bool:
    """Is the last digit the check digit of those before it? Only zeros are no number."""
    total = sum(_DOUBLED[int(d)] if at % 2 else int(d) for at, d in enumerate(reversed(digits)))
    return total % 10 == 0 and digits.strip("0") != ""


def card(digits: str) -> bool:
    """Can these digits be a payment card: 13 to 19 of them, of an issuer of cards (2 to 6), with its check digit?"""
    return len(digits) in CARD_DIGITS and digits[0] in "23456" and luhn(digits)


def iban(account: str) -> bool:
    """Is this, without blanks and in capitals, an account number of the length of its country whose check is right?"""
    if IBAN_LENGTHS.get(account[:2]) != len(account) or not account[2:4].isdigit() or not account.isalnum():
        return False
    return int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1
