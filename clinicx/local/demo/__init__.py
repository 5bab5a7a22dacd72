"""
Invented people for the local stack's clinics. None of them exists.

The code lists in `terminology` are short on purpose, and free to be shipped: problems are
ICD-10-CM (National Center for Health Statistics), medications RxNorm (this product uses
publicly available data from the U.S. National Library of Medicine, which does not
endorse it), vaccines CVX (Centers for Disease Control and Prevention). Observations are
LOINC: This material contains content from LOINC (http://loinc.org). LOINC is copyright
(c) Regenstrief Institute, Inc. and the LOINC Committee and is available at no cost under
the license at http://loinc.org/license. LOINC(R) is a registered United States trademark
of Regenstrief Institute, Inc.
"""
