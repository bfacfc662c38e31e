"""Licences: what may be said of the terms on which others may use a structure."""

from __future__ import annotations

import re

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from api.errors import WrongUsage


def licence(text: str) -> str:
    """Return an SPDX licence expression in its canonical spelling: ``cc0-1.0`` as ``CC0-1.0``.

    A licence that SPDX does not list is written ``LicenseRef-`` and a name of letters, digits,
    dots and hyphens. Raises WrongUsage. The list is that of the package ``packaging``.
    """
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression as error:
        cause = str(error).rstrip(".")
    raise WrongUsage(
        f"{cause}. {_meant(text)}Give an identifier of spdx.org/licenses, such as CC0-1.0 or "
        "CC-BY-4.0; for any other licence write LicenseRef- and its name."
    )


def _meant(text: str) -> str:
    """Say what a licence is called that is written with spaces: ``CC BY 4.0``."""
    joined = re.sub(r"[\s_]+", "-", text.strip())
    for guess in (joined, f"{joined}-4.0", f"{joined}-1.0"):
        try:
            return f"Did you mean {canonicalize_license_expression(guess)}? "
        except InvalidLicenseExpression:
            continue
    return ""
