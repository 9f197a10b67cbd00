"""What `mkdocs.yml` asks for: pages from beside the code become pages of the site, and links follow them.

Pages are written for the repository, where they link to each other by their paths. On the site, pages outside `docs`
get places of their own, and other files that pages link to (tables, modules) are copied to `files`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "README.md": "about/readme.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "CHANGELOG.md": "about/changelog.md",
    "THIRD_PARTY.md": "about/third_party.md",
    "examples/plugin/README.md": "about/plugin.md",
    "examples/http/README.md": "about/http.md",
    "src/duchenne/weights/model_card.md": "about/model_card.md",
    **{
        f"src/duchenne/methods/{page.parent.name}/README.md": f"methods/{page.parent.name}.md"
        for page in (ROOT / "src" / "duchenne" / "methods").glob("*/README.md")
    },
}
"""Page of the repository -> its place on the site."""
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Adds the pages outside `docs`, and every other file that a page links to."""
    for source, place in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=text))
    linked = {target for file in files.documentation_pages() for target in _targets(file)}
    for target in sorted(linked):
        copy = _copied(target)
        if copy is not None:
            files.append(File.generated(config, copy, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lets links lead to where pages and files are on the site."""
    source = _source(page.file)
    parts = _CODE.split(markdown)
    return "".join(part if _CODE.fullmatch(part) else _relinked(part, source, page.file.src_uri) for part in parts)


def _relinked(text: str, source: str, place: str) -> str:
    def relink(found: re.Match[str]) -> str:
        target = _target(found[2], source)
        if target is None:
            return found[0]
        where = OUTSIDE.get(target) or _copied(target) or target.removeprefix("docs/")
        return f"{found[1]}{os.path.relpath(where, os.path.dirname(place))}{found[3] or ''}{found[4]}"

    return _LINK.sub(relink, text)


def _source(file: File) -> str:
    """A page's path in the repository."""
    return next((source for source, place in OUTSIDE.items() if place == file.src_uri), f"docs/{file.src_uri}")


def _targets(file: File) -> set[str]:
    source = _source(file)
    text = _CODE.sub("", file.content_string)
    return {target for found in _LINK.finditer(text) if (target := _target(found[2], source))}


def _target(link: str, source: str) -> str | None:
    """What a link leads to, as a path in the repository; None where it leads out of it."""
    if re.match(r"[a-z]+:", link):
        return None
    return os.path.normpath(os.path.join(os.path.dirname(source), link))


def _copied(target: str) -> str | None:
    """Where the site has a file of the repository that is no page of it; None where it is in `docs`, or a page."""
    if target in OUTSIDE or target.startswith("docs/") or not (ROOT / target).is_file():
        return None
    return f"files/{target}" if Path(target).suffix else f"files/{target}.txt"
