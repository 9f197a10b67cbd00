"""The package's page on an index, which shows README.md without the files around it. All else is in pyproject.toml."""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def package_page() -> str:
    """README.md with links that lead somewhere from anywhere.

    Relative links lead into the repository at `Source` of `[project.urls]`; without such an address, their text
    remains, and pictures are left out.
    """
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    source = urls.get("Source", "").rstrip("/")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if source:
        text = re.sub(r"(!\[[^\]]*\]\()(?![a-z]+:|#)([^)\s]+\))", rf"\1{source}/raw/HEAD/\2", text)
        return re.sub(r"(?<!!)(\[[^\]]*\]\()(?![a-z]+:|#)([^)\s]+\))", rf"\1{source}/blob/HEAD/\2", text)
    text = re.sub(r"!\[[^\]]*\]\((?![a-z]+:)[^)\s]+\)\n*", "", text)
    return re.sub(r"\[([^\]]*)\]\((?![a-z]+:|#)[^)\s]+\)", r"\1", text)


setup(long_description=package_page(), long_description_content_type="text/markdown")
