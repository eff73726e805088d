"""What the scrub functions give, written a second time, plainly: HMAC from the standard library, integers, slices."""

from __future__ import annotations

import hmac
import ipaddress
import math
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256

_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_POSTCODE_LETTERS = "ABDEFGHJLNPQRSTUWXYZ"
_DOCUMENTATION = ("192.0.2.0", "198.51.100.0", "203.0.113.0")


def folded(value: str) -> str:
    return value.translate(_ASCII_LOWER)


def number(digest: bytes) -> int:
    return int.from_bytes(digest[:8]) & (1 << 63) - 1


def national_number(value: str) -> str:
    closed_up = value.translate(str.maketrans("", "", " ()-./\t"))
    return re.sub(r"^(?:\+|00)440?", "0", closed_up)


@dataclass(frozen=True)
class Pseudonyms:
    """The functions under one key, with the words that the database has."""

    key: bytes
    first_names: Sequence[str]
    stems: Sequence[str]
    endings: Sequence[str]

    def hmac(self, domain: str, value: str | bytes) -> bytes:
        return hmac.digest(self.key, domain.encode() + (value.encode() if isinstance(value, str) else value), sha256)

    def token(self, value: str, length: int) -> str:
        return self.hmac("token:", value).hex()[:length] if value else ""

    def url(self, value: str) -> str:
        return f"https://example.com/{self.hmac('url:', value).hex()[:32]}" if value else ""

    def email(self, value: str) -> str:
        return f"{self.hmac('email:', folded(value.strip(' '))).hex()[:32]}@example.com" if value else ""

    def _coined(self, digest: bytes, at: int) -> str:
        return self.stems[digest[at] % 32] + self.endings[digest[at + 1] % 32]

    def person_name(self, value: str) -> str:
        digest = self.hmac("person_name:", folded(value))
        family = f" {chr(65 + digest[1] % 26)}. {self._coined(digest, 2)}"
        name = self.first_names[digest[0] % 64] + family
        return (self.first_names[(digest[0] + 1) % 64] + family if name == value else name) if value else ""

    def person_name_unique(self, value: str) -> str:
        digits = self.hmac("person_name_unique:", folded(value)).hex()[:32]
        return f"{self.person_name(value)} {digits}" if value else ""

    def address(self, value: str) -> str:
        digest = self.hmac("address:", folded(value))
        house = int.from_bytes(digest[:2]) % 999
        kind = ("Street", "Road", "Lane", "Close")[digest[4] % 4]
        street = f" {self._coined(digest, 2)} {kind}, {self._coined(digest, 5)}"
        same = f"{house + 1}{street}" == value
        return f"{(house + same) % 999 + 1}{street}" if value else ""

    def company(self, value: str) -> str:
        digest = self.hmac("company:", folded(value))
        kinds = (" Ltd", " LLP", " plc")
        owners = f"{self._coined(digest, 0)} & {self._coined(digest, 2)}"
        same = owners + kinds[digest[4] % 3] == value
        return owners + kinds[(digest[4] % 3 + same) % 3] if value else ""

    def postcode(self, value: str) -> str:
        chosen = number(self.hmac("postcode:", folded(value.replace(" ", ""))))
        inward = (
            f" {chosen // 100 % 10}{_POSTCODE_LETTERS[chosen // 1000 % 20]}{_POSTCODE_LETTERS[chosen // 20000 % 20]}"
        )
        same = f"ZZ{chosen % 100:02d}{inward}" == value
        return f"ZZ{(chosen + same) % 100:02d}{inward}" if value else ""

    def phone(self, value: str) -> str:
        original = national_number(value)
        line = number(self.hmac("phone:", original)) % 1000
        exchange = "7700 900" if original.startswith("07") else "1632 960"
        if original == f"0{exchange.replace(' ', '')}{line:03d}":
            line = (line + 1) % 1000
        phone = f"{'+44 ' if value.startswith('+') else '0'}{exchange}{line:03d}"
        return (phone if " " in value else phone.replace(" ", "")) if value else ""

    def phone_unique(self, value: str) -> str:
        extension = number(self.hmac("phone_unique:", national_number(value)))
        return f"{self.phone(value)} x{extension:019d}" if value else ""

    def feistel(self, label: bytes, near: int, far: int, near_size: int, far_size: int) -> tuple[int, int]:
        key = self.hmac("round_key:", b"") + label

        def turn(half: int, count: int) -> int:
            return number(sha256(key + (half * 10 + count).to_bytes(8)).digest())

        for count in range(0, 10, 2):
            near = (near + turn(far, count)) % near_size
            far = (far + turn(near, count + 1)) % far_size
        return near, far

    def _permuted(self, label: str, digits: str) -> str:
        if len(digits) == 1:
            return str((int(digits) + 1 + number(self.hmac(label, "")) % 9) % 10)
        half, rest = len(digits) // 2, len(digits) - len(digits) // 2
        name = label.encode() + len(digits).to_bytes(4)
        near, far = self.feistel(name, int(digits[:half]), int(digits[half:]), 10**half, 10**rest)
        return f"{near:0{half}d}{far:0{rest}d}"

    def digits(self, value: str) -> str:
        found = "".join(re.findall("[0-9]", value))
        if not found:
            return self.hmac("digits:", value).hex()[: len(value)] if value else ""
        permuted = iter(self._permuted("digits:", found))
        return re.sub("[0-9]", lambda _: next(permuted), value)

    def card_number(self, value: str) -> str:
        found = "".join(re.findall("[0-9]", value))
        if len(found) < 4:
            return self.digits(value)
        payload = "9" + self._permuted("card:", found[1:-1])
        counted = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(payload))]
        check = -sum(count // 10 + count % 10 for count in counted) % 10
        replaced = iter(f"{payload}{check}")
        return re.sub("[0-9]", lambda _: next(replaced), value)

    def iban(self, value: str) -> str:
        closed_up = value.replace(" ", "").upper()
        if not re.fullmatch("[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", closed_up):
            return self.digits(value)
        account = closed_up[4:]
        permuted = iter(self._permuted("iban:", "".join(re.findall("[0-9]", account))))
        account = re.sub("[0-9]", lambda _: next(permuted), account)
        remainder = int("".join(str(int(sign, 36)) for sign in f"{account}{closed_up[:2]}00")) % 97
        iban = f"{closed_up[:2]}{98 - remainder:02d}{account}"
        return re.sub("(.{4})(?=.)", r"\1 ", iban) if " " in value else iban

    def id(self, value: int, low: int, high: int) -> int:
        span = high - low
        near_size = int(math.sqrt(span)) + 1
        far_size = span // near_size + 1
        name = b"id:" + span.to_bytes(8)
        near, far = divmod(value - low, far_size)
        while True:
            near, far = self.feistel(name, near, far, near_size, far_size)
            if near * far_size + far <= span:
                return low + near * far_size + far

    def ip(self, value: str) -> str:
        original = ipaddress.ip_interface(value)
        chosen = number(self.hmac("ip:", _postgres_text(original.ip)))
        if original.version == 6:
            address = int(ipaddress.ip_address("2001:db8::")) + chosen
            address ^= address == int(original.ip)
            return f"{_postgres_text(ipaddress.IPv6Address(address))}/{original.network.prefixlen}"
        base = [int(ipaddress.ip_address(start)) for start in _DOCUMENTATION]
        v4 = base[chosen % 3] + chosen // 3 % 256
        if v4 == int(original.ip):
            v4 = base[(chosen + 1) % 3] + chosen // 3 % 256
        return f"{ipaddress.ip_address(v4)}/{original.network.prefixlen}"

    def uuid(self, value: str) -> str:
        octets = bytearray(self.hmac("uuid:", uuid.UUID(value).bytes)[:16])
        octets[6] = octets[6] & 0x0F | 0x80  # version 8; uuid.UUID() knows it since Python 3.14
        octets[8] = octets[8] & 0x3F | 0x80
        return str(uuid.UUID(bytes=bytes(octets)))

    def shift_days(self, key: str, days: int) -> int:
        shift = number(self.hmac("date_shift:", key)) % (2 * days)
        return shift + 1 if shift < days else shift - 2 * days

    def date_shift(self, value: str, key: str, days: int) -> str:
        return str(date.fromisoformat(value) + timedelta(days=self.shift_days(key, days)))


def _postgres_text(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """IPv4-mapped addresses have a form of their own in Postgres."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return f"::ffff:{address.ipv4_mapped}"
    return str(address)
