"""Which problems, medications, vaccines and measurements the demo's people have."""

from __future__ import annotations

from typing import NamedTuple

ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX = "http://hl7.org/fhir/sid/cvx"
LOINC = "http://loinc.org"


class Drug(NamedTuple):
    code: str
    display: str
    dosage: str
    family: str = ""


class Problem(NamedTuple):
    """A problem, at which ages it comes, how many of those have it, and what helps."""

    code: str
    display: str
    ages: range
    share: float
    drugs: tuple[str, ...] = ()
    gender: str = ""


class Vaccine(NamedTuple):
    code: str
    display: str
    months: tuple[int, ...]


class Allergen(NamedTuple):
    display: str
    category: str
    reaction: str
    code: str = ""
    family: str = ""


class Measurement(NamedTuple):
    code: str
    display: str
    unit: str
    places: int


DRUGS = {
    "metformin": Drug(
        "860975",
        "24 HR Metformin hydrochloride 500 MG Extended Release Oral Tablet",
        "1 tablet twice a day with meals",
    ),
    "lisinopril": Drug("314076", "lisinopril 10 MG Oral Tablet", "1 tablet every morning"),
    "amlodipine": Drug("197361", "Amlodipine 5 MG Oral Tablet", "1 tablet every morning"),
    "simvastatin": Drug("314231", "Simvastatin 10 MG Oral Tablet", "1 tablet at bedtime"),
    "albuterol": Drug(
        "745679",
        "200 ACTUAT Albuterol 0.09 MG/ACTUAT Metered Dose Inhaler",
        "2 puffs up to every 4 hours as needed",
    ),
    "fluticasone": Drug(
        "895994",
        "120 ACTUAT Fluticasone propionate 0.044 MG/ACTUAT Metered Dose Inhaler",
        "2 puffs twice a day, rinse the mouth afterwards",
    ),
    "salmeterol": Drug(
        "896209",
        "60 ACTUAT Fluticasone propionate 0.25 MG/ACTUAT / salmeterol 0.05 MG/ACTUAT "
        "Dry Powder Inhaler",
        "1 inhalation twice a day",
    ),
    "levothyroxine": Drug(
        "966222",
        "Levothyroxine Sodium 0.075 MG Oral Tablet",
        "1 tablet half an hour before breakfast",
    ),
    "warfarin": Drug("855332", "Warfarin Sodium 5 MG Oral Tablet", "as the INR plan says"),
    "aspirin": Drug("243670", "Aspirin 81 MG Oral Tablet", "1 tablet a day", "aspirin"),
    "nitroglycerin": Drug(
        "705129",
        "Nitroglycerin 0.4 MG/ACTUAT Mucosal Spray",
        "1 spray under the tongue as needed for chest pain",
    ),
    "sertraline": Drug("312938", "Sertraline 100 MG Oral Tablet", "1 tablet every morning"),
    "naproxen": Drug(
        "198014", "Naproxen 500 MG Oral Tablet", "1 tablet twice a day for 7 days", "NSAID"
    ),
    "ibuprofen": Drug(
        "310965", "Ibuprofen 200 MG Oral Tablet", "2 tablets up to 3 times a day", "NSAID"
    ),
    "acetaminophen": Drug(
        "313782", "Acetaminophen 325 MG Oral Tablet", "2 tablets up to 4 times a day as needed"
    ),
    "loratadine": Drug("665078", "Loratadine 5 MG Chewable Tablet", "1 tablet a day in season"),
    "ferrous sulfate": Drug(
        "310325", "ferrous sulfate 325 MG Oral Tablet", "1 tablet every other day"
    ),
    "allopurinol": Drug("197319", "Allopurinol 100 MG Oral Tablet", "1 tablet a day"),
    "alendronate": Drug(
        "904419", "Alendronic acid 10 MG Oral Tablet", "1 tablet fasting, then sit upright"
    ),
    "amoxicillin": Drug(
        "308182",
        "Amoxicillin 250 MG Oral Capsule",
        "1 capsule three times a day for 7 days",
        "penicillin",
    ),
    "azithromycin": Drug(
        "308460", "Azithromycin 250 MG Oral Tablet", "2 tablets on day 1, then 1 for 4 days"
    ),
    "nitrofurantoin": Drug(
        "311995",
        "NITROFURANTOIN, MACROCRYSTALS 50 MG Oral Capsule",
        "1 capsule four times a day for 5 days",
    ),
    "hydrocortisone": Drug(
        "106258", "Hydrocortisone 10 MG/ML Topical Cream", "thinly twice a day for 7 days"
    ),
}

CHRONIC = [
    Problem("I10", "Essential (primary) hypertension", range(38, 110), 0.25, ("lisinopril",)),
    Problem("I10", "Essential (primary) hypertension", range(60, 110), 0.25, ("amlodipine",)),
    Problem(
        "E11.9",
        "Type 2 diabetes mellitus without complications",
        range(40, 110),
        0.2,
        ("metformin",),
    ),
    Problem("E78.5", "Hyperlipidemia, unspecified", range(42, 110), 0.3, ("simvastatin",)),
    Problem(
        "J45.909",
        "Unspecified asthma, uncomplicated",
        range(5, 50),
        0.15,
        ("albuterol", "fluticasone"),
    ),
    Problem(
        "J44.9",
        "Chronic obstructive pulmonary disease, unspecified",
        range(55, 110),
        0.15,
        ("salmeterol", "albuterol"),
    ),
    Problem("E03.9", "Hypothyroidism, unspecified", range(30, 110), 0.12, ("levothyroxine",)),
    Problem("I48.91", "Unspecified atrial fibrillation", range(66, 110), 0.2, ("warfarin",)),
    Problem(
        "I25.10",
        "Atherosclerotic heart disease of native coronary artery without angina pectoris",
        range(60, 110),
        0.2,
        ("aspirin", "nitroglycerin"),
    ),
    Problem("F32.A", "Depression, unspecified", range(16, 80), 0.12, ("sertraline",)),
    Problem("F41.1", "Generalized anxiety disorder", range(16, 70), 0.1),
    Problem("J30.2", "Other seasonal allergic rhinitis", range(6, 60), 0.2, ("loratadine",)),
    Problem("K21.9", "Gastro-esophageal reflux disease without esophagitis", range(25, 90), 0.12),
    Problem("E66.9", "Obesity, unspecified", range(18, 80), 0.15),
    Problem("M17.9", "Osteoarthritis of knee, unspecified", range(58, 110), 0.25),
    Problem("M10.9", "Gout, unspecified", range(45, 90), 0.08, ("allopurinol",), "male"),
    Problem(
        "M81.0",
        "Age-related osteoporosis without current pathological fracture",
        range(64, 110),
        0.25,
        ("alendronate",),
        "female",
    ),
    Problem(
        "D50.9",
        "Iron deficiency anemia, unspecified",
        range(15, 50),
        0.12,
        ("ferrous sulfate",),
        "female",
    ),
    Problem("G43.909", "Migraine, unspecified, not intractable", range(14, 60), 0.1),
    Problem("L20.9", "Atopic dermatitis, unspecified", range(1, 18), 0.15, ("hydrocortisone",)),
]

ACUTE = [
    Problem("J06.9", "Acute upper respiratory infection, unspecified", range(110), 3),
    Problem("J02.0", "Streptococcal pharyngitis", range(4, 40), 1, ("amoxicillin",)),
    Problem("J20.9", "Acute bronchitis, unspecified", range(20, 110), 1),
    Problem("H66.90", "Otitis media, unspecified, unspecified ear", range(9), 3, ("amoxicillin",)),
    Problem(
        "N39.0",
        "Urinary tract infection, site not specified",
        range(16, 110),
        1,
        ("nitrofurantoin",),
        "female",
    ),
    Problem("M54.50", "Low back pain, unspecified", range(20, 90), 2, ("naproxen",)),
    Problem(
        "S93.401A",
        "Sprain of unspecified ligament of right ankle, initial encounter",
        range(8, 60),
        1,
        ("ibuprofen",),
    ),
    Problem("R51.9", "Headache, unspecified", range(10, 90), 1, ("acetaminophen",)),
    Problem("L30.9", "Dermatitis, unspecified", range(110), 1, ("hydrocortisone",)),
    Problem("A09", "Infectious gastroenteritis and colitis, unspecified", range(110), 1),
]

# For those whom an infection's first choice would harm.
INSTEAD = {"penicillin": "azithromycin", "NSAID": "acetaminophen"}

CHILD_VACCINES = [
    Vaccine("08", "Hep B, adolescent or pediatric", (0, 2, 6)),
    Vaccine("20", "DTaP", (2, 4, 6, 15, 50)),
    Vaccine("10", "IPV", (2, 4, 6, 50)),
    Vaccine("133", "Pneumococcal conjugate PCV 13", (2, 4, 6, 12)),
    Vaccine("119", "rotavirus, monovalent", (2, 4)),
    Vaccine("03", "MMR", (12, 50)),
    Vaccine("21", "varicella", (12, 50)),
    Vaccine("115", "Tdap", (135,)),
]
INFLUENZA = Vaccine("140", "Influenza, split virus, trivalent, PF", ())
ADULT_VACCINES = [
    Vaccine("115", "Tdap", (22 * 12, 32 * 12, 42 * 12, 52 * 12)),
    Vaccine("121", "zoster vaccine, live", (61 * 12,)),
    Vaccine("33", "pneumococcal polysaccharide vaccine, 23 valent", (65 * 12,)),
]

# Codes are RxNorm's ingredients; what is no drug is in words.
ALLERGENS = [
    Allergen("Penicillin", "medication", "Hives", "7980", "penicillin"),
    Allergen("Peanut", "food", "Swelling of the throat"),
    Allergen("House dust mite", "environment", "Sneezing"),
    Allergen("Ibuprofen", "medication", "Wheezing", "5640", "NSAID"),
    Allergen("Bee venom", "environment", "Anaphylaxis"),
    Allergen("Latex", "environment", "Contact rash"),
    Allergen("Codeine", "medication", "Nausea", "2670"),
    Allergen("Egg", "food", "Hives"),
    Allergen("Grass pollen", "environment", "Itching eyes"),
]

BLOOD_PRESSURE = Measurement("85354-9", "Blood pressure panel", "", 0)
SYSTOLIC = Measurement("8480-6", "Systolic blood pressure", "mm[Hg]", 0)
DIASTOLIC = Measurement("8462-4", "Diastolic blood pressure", "mm[Hg]", 0)
HEART_RATE = Measurement("8867-4", "Heart rate", "/min", 0)
RESPIRATORY_RATE = Measurement("9279-1", "Respiratory rate", "/min", 0)
OXYGEN_SATURATION = Measurement("2708-6", "Oxygen saturation in arterial blood", "%", 0)
TEMPERATURE = Measurement("8310-5", "Body temperature", "Cel", 1)
WEIGHT = Measurement("29463-7", "Body weight", "kg", 1)
HEIGHT = Measurement("8302-2", "Body height", "cm", 1)
BODY_MASS_INDEX = Measurement("39156-5", "Body mass index", "kg/m2", 1)
HBA1C = Measurement("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 1)
LDL = Measurement("18262-6", "Low Density Lipoprotein Cholesterol", "mg/dL", 0)
TSH = Measurement("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", "m[IU]/L", 2)
HEMOGLOBIN = Measurement("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 1)
SMOKING = Measurement("72166-2", "Tobacco smoking status", "", 0)

# The test that follows a problem, and between which values it moves.
LABORATORY = {
    "E11.9": (HBA1C, 6.1, 8.4),
    "E78.5": (LDL, 85, 170),
    "E03.9": (TSH, 0.6, 6.2),
    "D50.9": (HEMOGLOBIN, 9.8, 13.1),
}

SMOKING_STATUS = [
    ("LA18978-9", "Never smoker"),
    ("LA15920-4", "Former smoker"),
    ("LA18976-3", "Current every day smoker"),
]
