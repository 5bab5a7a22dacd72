"""Who the demo's people are: names, numbers, families, where they live."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from random import Random

from faker import Faker

from apps.patients.folding import fold

# Where people's families come from, in hundredths; the clinics are in the United States.
_LOCALES = {
    "en_US": 48,
    "es_ES": 12,
    "pt_PT": 6,
    "fr_FR": 6,
    "de_DE": 6,
    "pl_PL": 6,
    "sv_SE": 5,
    "tr_TR": 4,
    "vi_VN": 7,
}
_LANGUAGES = {
    "en_US": ("en", "English"),
    "es_ES": ("es", "Spanish"),
    "pt_PT": ("pt", "Portuguese"),
    "fr_FR": ("fr", "French"),
    "de_DE": ("de", "German"),
    "pl_PL": ("pl", "Polish"),
    "sv_SE": ("sv", "Swedish"),
    "tr_TR": ("tr", "Turkish"),
    "vi_VN": ("vi", "Vietnamese"),
}

# Whatever the dice say, a clinic has one of each of these among its first patients.
CHILD, INFANT, MAIDEN, DECEASED, ONLY_YEAR, ONLY_MONTH = 1, 2, 3, 4, 5, 6
NO_KNOWN_ALLERGY, SEVERE_ALLERGY, NEVER_ASKED, OTHER_GENDER, DOUBLE_NAME = 7, 8, 9, 10, 11
_STORIES = 25


@dataclass(slots=True)
class Relative:
    family: str
    given: str
    gender: str
    relationship: str
    relationship_display: str
    phone: str


@dataclass(slots=True)
class Person:
    number: int
    locale: str
    gender: str
    family: str
    given: list[str]
    birth_date: date
    precision: str
    phone: str
    email: str
    street: str
    city: str
    state: str
    postal_code: str
    maiden: str = ""
    deceased_at: datetime | None = None
    relative: Relative | None = None
    social_security: str = ""
    marital_status: tuple[str, str] = ("", "")
    language: tuple[str, str] = field(default=("", ""))

    @property
    def story(self) -> int:
        """Return which of the things that every clinic has this person stands for, if any."""
        return self.number % _STORIES

    def age(self, at: date) -> int:
        ahead = (at.month, at.day) < (self.birth_date.month, self.birth_date.day)
        return at.year - self.birth_date.year - ahead


def invent(*, number: int, seed: str, today: date) -> Person:
    """Return person `number` of the clinic that `seed` stands for, always the same one."""
    rng = Random(f"{seed}/{number}")  # noqa: S311  # nothing here is secret
    story = number % _STORIES
    locale = rng.choices(list(_LOCALES), list(_LOCALES.values()))[0]
    fake = _faker(locale)
    fake.seed_instance(rng.random())

    gender = _gender(rng, story)
    birth_date = _birth_date(rng, story, today)
    family = fake.last_name()
    if story == DOUBLE_NAME:
        family = f"{family}-{fake.last_name()}"
    street, city, state, postal_code = _address(rng, seed)
    person = Person(
        number=number,
        locale=locale,
        gender=gender,
        family=family,
        given=_given(rng, fake, gender),
        birth_date=birth_date,
        precision={ONLY_YEAR: "Y", ONLY_MONTH: "YM"}.get(story, "YMD"),
        phone=_phone(rng),
        email="",
        street=street,
        city=city,
        state=state,
        postal_code=postal_code,
        language=_LANGUAGES[locale],
    )
    age = person.age(today)
    if story == MAIDEN or (gender == "female" and age > 25 and rng.random() < 0.3):
        person.maiden = fake.last_name()
    if story == DECEASED or (age > 80 and rng.random() < 0.3):
        person.deceased_at = _moment_before(rng, today, within=900)
    if age < 16:
        person.relative = _guardian(rng, fake, person)
    elif rng.random() < 0.4:
        person.relative = _next_of_kin(rng, fake, person)
    if age >= 18:
        person.marital_status = _marital_status(rng, person)
        person.email = _email(person) if rng.random() < 0.7 else ""
    if rng.random() < 0.6:
        # Numbers that begin with 999 are never given out.
        person.social_security = f"999-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}"
    return person


@cache
def _faker(locale: str) -> Faker:
    return Faker(locale, use_weighting=False)


def _gender(rng: Random, story: int) -> str:
    if story == MAIDEN:
        return "female"
    if story == OTHER_GENDER:
        return "other"
    return rng.choice(["female", "male"])


def _given(rng: Random, fake: Faker, gender: str) -> list[str]:
    first_name = {"female": fake.first_name_female, "male": fake.first_name_male}.get(
        gender, fake.first_name
    )
    names = [first_name()]
    if rng.random() < 0.3:
        names.append(first_name())
    return [part for name in dict.fromkeys(names) for part in name.split()]


def _birth_date(rng: Random, story: int, today: date) -> date:
    if story == INFANT:
        return today - timedelta(days=rng.randrange(40, 330))
    if story == CHILD:
        return today - timedelta(days=rng.randrange(3 * 366, 12 * 365))
    if story in (DECEASED, SEVERE_ALLERGY):
        return today - timedelta(days=rng.randrange(62 * 366, 84 * 365))
    if story in (MAIDEN, ONLY_YEAR, ONLY_MONTH):
        born = today - timedelta(days=rng.randrange(35 * 366, 75 * 365))
        if story == ONLY_YEAR:
            return born.replace(month=1, day=1)
        return born.replace(day=1) if story == ONLY_MONTH else born
    youngest, oldest = rng.choices([(1, 15), (16, 40), (41, 64), (65, 93)], [18, 28, 30, 24])[0]
    return today - timedelta(days=rng.randrange(youngest * 366, oldest * 366))


def _address(rng: Random, seed: str) -> tuple[str, str, str, str]:
    """Return an address in one of the three towns around the clinic."""
    towns = _towns(seed)
    city, state, postal_code = rng.choices(towns, [6, 3, 1])[0]
    fake = _faker("en_US")
    fake.seed_instance(rng.random())
    return f"{rng.randrange(1, 400)} {fake.street_name()}", city, state, postal_code


@cache
def _towns(seed: str) -> list[tuple[str, str, str]]:
    fake = Faker("en_US", use_weighting=False)
    fake.seed_instance(f"{seed}/towns")
    state = fake.state_abbr(include_territories=False, include_freely_associated_states=False)
    return [(fake.city(), state, fake.postcode_in_state(state)) for _ in range(3)]


def _phone(rng: Random) -> str:
    """Return a number that is nobody's: 555-01xx is kept free for stories."""
    return f"({rng.randrange(201, 989)}) 555-01{rng.randrange(100):02}"


def _email(person: Person) -> str:
    name = ".".join([*fold(person.given[0]).split(), *fold(person.family).split()])
    letters = "".join(letter for letter in name if letter.isascii() and letter in _MAILBOX)
    return f"{letters}@example.org"


_MAILBOX = frozenset("abcdefghijklmnopqrstuvwxyz.")


def _guardian(rng: Random, fake: Faker, child: Person) -> Relative:
    code, words, gender = rng.choice([("MTH", "Mother", "female"), ("FTH", "Father", "male")])
    given = fake.first_name_female() if gender == "female" else fake.first_name_male()
    return Relative(child.family, given, gender, code, words, child.phone)


def _next_of_kin(rng: Random, fake: Faker, person: Person) -> Relative:
    gender = rng.choice(["female", "male"])
    given = fake.first_name_female() if gender == "female" else fake.first_name_male()
    return Relative(person.family, given, gender, "N", "Next of kin", _phone(rng))


def _marital_status(rng: Random, person: Person) -> tuple[str, str]:
    if person.maiden:
        return "M", "Married"
    return rng.choice(
        [("S", "Never Married"), ("M", "Married"), ("D", "Divorced"), ("W", "Widowed")]
    )


def _moment_before(rng: Random, today: date, *, within: int) -> datetime:
    day = today - timedelta(days=rng.randrange(30, within))
    return datetime(day.year, day.month, day.day, rng.randrange(24), rng.randrange(60), tzinfo=UTC)


def months_after(born: date, months: int) -> date:
    """Return the day on which somebody born on `born` is so many months old."""
    year, month = divmod(born.year * 12 + born.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(born.day, last))
