"""The dashboard in Debian's headless Chromium, and the errors that Chromium reported."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.async_api import Page, async_playwright

from appliance.simulate.namespace import Namespace

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
ARTIFACTS = Path(__file__).parent / "artifacts" / "browser"
DESKTOP = (1240, 900)
PHONE = (390, 844)

# Records every stage and all progress that each card has shown, and violations of the Content-Security-Policy.
WITNESS = """
window.seen = {}; window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
document.addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  for (const card of document.querySelectorAll("button[data-host]")) {
    const host = window.seen[card.dataset.host] ??= { stages: [], facts: [] };
    if (host.stages.at(-1) !== card.dataset.stage) host.stages.push(card.dataset.stage);
    const facts = card.querySelector(".facts").textContent;
    if (host.facts.at(-1) !== facts) host.facts.push(facts);
  }
}).observe(document.getElementById("hosts"), { subtree: true, childList: true, attributes: true }));
"""

# Texts whose contrast with the background behind them is below 4.5 (WCAG 2.2 section 1.4.3).
CONTRASTS = """() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const paint = (...colours) => {
    for (const colour of colours) { brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); }
    return [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const linear = (value) => value <= 10.31 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const isText = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!isText || !node.checkVisibility()) continue;
    const behind = [];
    for (let under = node; under; under = under.parentElement) behind.unshift(getComputedStyle(under).backgroundColor);
    const [text, ground] = [luminance(paint(...behind, getComputedStyle(node).color)), luminance(paint(...behind))];
    const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    if (contrast < 4.5) found.push(`${node.className} ${node.textContent.slice(0, 30)} ${contrast.toFixed(2)}`);
  }
  return found;
}"""


@dataclass
class Opened:
    """An open page, and the errors that Chromium reported about it."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def text(self, selector: str) -> str:
        return (await self.page.text_content(selector)) or ""

    async def wait_for_text(self, selector: str, text: str, seconds: float = 20.0) -> None:
        condition = "([selector, text]) => document.querySelector(selector)?.textContent === text"
        await self.page.wait_for_function(condition, arg=[selector, text], timeout=seconds * 1000)

    async def stages(self) -> dict[str, str]:
        """Return the stage on each card."""
        script = "cards => Object.fromEntries(cards.map((card) => [card.dataset.host, card.dataset.stage]))"
        stages: dict[str, str] = await self.page.eval_on_selector_all("button[data-host]", script)
        return stages

    async def keep(self, name: str, *, is_whole: bool = True) -> Path:
        """Save a screenshot as an artifact; return its path."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        await self.page.screenshot(path=path, full_page=is_whole)
        return path


def chromium_in(place: Namespace, directory: Path) -> Path:
    """Write a script to *directory* that runs Chromium in the namespace *place*; return its path."""
    program = directory / "chromium"
    program.write_text(f'#!/bin/sh\nexec nsenter --net={place.path} {CHROMIUM} "$@"\n')
    program.chmod(0o755)
    return program


@asynccontextmanager
async def opened(
    url: str,
    size: tuple[int, int] = DESKTOP,
    scheme: Literal["light", "dark"] = "light",
    executable: str | Path = CHROMIUM,
) -> AsyncIterator[Opened]:
    """Open *url* in a new browser, and wait until the page shows hosts. Policy violations fail the test at the end."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=FLAGS)
        width, height = size
        page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.set_default_timeout(20_000)
        view = Opened(page)
        page.on("console", lambda message: view.complaints.append(message.text))
        page.on("pageerror", lambda error: view.complaints.append(str(error)))
        await page.add_init_script(WITNESS)
        await page.goto(url)
        await page.wait_for_selector("button[data-host]")
        try:
            yield view
            assert await page.evaluate("window.violations") == []
        finally:
            await browser.close()
