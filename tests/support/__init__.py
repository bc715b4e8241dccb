"""Shared test code: small data, nets and calls, measurements, and substitutes for external programs."""
