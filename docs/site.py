"""Hooks of mkdocs: which files are the site, with which anchors, and whether the demo's report is among them."""

import subprocess
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from graft.io.markdown import slug

ROOT = Path(__file__).parents[1]
# Pages, figures, and what pages link to.
SHOWN = """
*.md docs/*.svg docs/*.css docs/*.js *.yaml mkdocs.yml config/*.json *.toml LICENSE CITATION.cff :!graft/*
""".split()
DEMO, REPORT = "docs/demo.md", "results/demo/report.html"


def on_config(config: MkDocsConfig) -> None:
    """Give headings the anchors that they have on GitHub."""
    config.mdx_configs["toc"]["slugify"] = lambda heading, _: slug(heading)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of docs/ by all that are shown, each at its path in the checkout."""
    listed = subprocess.run(["git", "ls-files", *SHOWN], cwd=ROOT, capture_output=True, text=True, check=True)
    shown = [*listed.stdout.split(), *([REPORT] if (ROOT / REPORT).exists() else [])]
    # The theme's files may lie in this checkout as well, in its environment.
    theme = [file for file in files if not Path(file.abs_src_path or "").is_relative_to(config.docs_dir)]
    return Files([*theme, *(File.generated(config, name, abs_src_path=str(ROOT / name)) for name in shown)])


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Link the demo's report where it is named, or say that the site has none."""
    if page.file.src_uri != DEMO:
        return markdown
    if (ROOT / REPORT).exists():
        return markdown.replace(f"`{REPORT}`", f"[{REPORT}](../{REPORT})")
    return f"{markdown}\nThis site was built where the demo has not run, and so without its report.\n"
