"""The direct source: whoever speaks Revline's own contracts sends canonical objects as CloudEvents. No wire, no database."""
