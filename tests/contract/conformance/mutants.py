"""Every planted defect with the case that must catch it; the reference page is made from this list."""

from __future__ import annotations

from tests.contract.conformance import mutants_booking, mutants_finding, mutants_resolving, mutants_sending

MUTANTS = (*mutants_booking.MUTANTS, *mutants_sending.MUTANTS, *mutants_finding.MUTANTS, *mutants_resolving.MUTANTS)
