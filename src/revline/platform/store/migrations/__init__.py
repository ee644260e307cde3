"""Migrations: numbered revisions, each a frozen SQL file. Expand first, contract a release later."""
