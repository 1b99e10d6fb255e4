"""The page in a browser: quiet, alone, readable in every width and light, and used by mouse, finger and keyboard."""

from __future__ import annotations

import io
import json
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from chromium import NAMES, Browser, found

from rnnbench.report import page
from rnnbench.report.document import compose

NASTY = "<script>window.injected = 1</script>"
WIDTHS, SCHEMES = (1280, 390), ("light", "dark")
LONGEST_LOAD_MS, LARGEST_PAGE_BYTES = 2000, 6e6
"""Of a run of 1,000 trials."""

LOOSE = """[...document.querySelectorAll("body *")].filter((element) =>
    !element.closest(".scroll, pre, svg, .skip") && element.getBoundingClientRect().right > innerWidth + 0.5
).map((element) => element.outerHTML.slice(0, 80))"""
"""What reaches beyond the window, besides tables and commands, which scroll in themselves."""

FAINT = """(() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (color) => numbers(color).slice(0, 3).map((c) => linear(c / 255))
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return numbers(color)[3] === 0 ? ground(element.parentElement) : color;
  };
  const told = [];
  let count = 0;
  for (const element of document.querySelectorAll("body, body *:not(svg, svg *, script, option)")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => a - b);
    const contrast = (other + 0.05) / (one + 0.05);
    count += 1;
    if (contrast < 4.5) told.push([element.outerHTML.slice(0, 80), contrast]);
  }
  return { count, told };
})()"""
"""Every element with text of its own whose contrast with what is behind it is less than 4.5 (WCAG 2.2, 1.4.3)."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = found()
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed, so the page was not opened")
    browser = Browser(program)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def path(html, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, path) -> Browser:
    browser.size(1280)
    browser.prefer(color_scheme="light")
    browser.open(path)
    return browser


def rows_of(browser: Browser, figure: str) -> pd.DataFrame:
    """The file that a figure's link holds, as the page has it."""
    address = browser.value(f"document.querySelector({json.dumps(figure)} + ' .data a').href")
    return pd.read_csv(io.BytesIO(b64decode(address.partition("base64,")[2])), dtype=str, keep_default_na=False)


def place_of(browser: Browser, figure: str, row: int) -> tuple[float, float]:
    """Where in the window a row of a figure's file is drawn."""
    return tuple(
        browser.value(f"""(() => {{
          const figure = document.querySelector({json.dumps(figure)}), drawing = figure.querySelector("svg");
          drawing.scrollIntoView({{ behavior: "instant", block: "center" }});
          const box = drawing.getBoundingClientRect(), scale = box.width / drawing.viewBox.baseVal.width;
          const [x, y] = figure.querySelector(".data a").dataset.places.split(" ")[{row}].split(",").map(Number);
          return [box.left + x * scale, box.top + y * scale];
        }})()""")
    )


def tip(browser: Browser, figure: str) -> str | None:
    """The values that a figure shows just now, or None."""
    return browser.value(
        f"(() => {{ const tip = document.querySelector({json.dumps(figure)} + ' .tip');"
        " return tip.hidden ? null : tip.innerText; })()"
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_quiet_alone_within_the_window_and_readable(browser, path, width, scheme):
    browser.size(width)
    browser.prefer(color_scheme=scheme)
    browser.open(path)
    browser.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert browser.complaints() == []
    first, *others = browser.requests()
    assert first == path.as_uri()
    assert [address for address in others if not address.startswith("data:")] == []
    assert browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert browser.value(LOOSE) == []
    contrasts = browser.value(FAINT)
    assert contrasts["count"] > 300
    assert contrasts["told"] == []


def test_a_table_is_filtered_by_its_axes(opened):
    table = "document.querySelector('#training .scroll table')"
    select = "document.querySelector('#training .filter select')"
    every = opened.value(f"[...{table}.tBodies[0].rows].map((row) => row.cells[0].innerText)")
    assert opened.value(f"[...{select}.options].map((each) => each.text)") == ["all", "GRU", "LSTM", "RNN"]
    choose = f"{select}.value = %s; {select}.dispatchEvent(new Event('change', {{ bubbles: true }}))"
    shown = f"[...{table}.tBodies[0].rows].filter((row) => row.offsetParent).map((row) => row.cells[0].innerText)"
    told = "document.querySelector('#training .filter output').innerText"
    opened.value(choose % "'=GRU'")
    assert opened.value(shown) == ["GRU"] * every.count("GRU") != []
    assert opened.value(told) == f"{every.count('GRU')} of {len(every)} rows"
    opened.value(choose % "''")
    assert opened.value(shown) == every


def test_every_trial_is_found_by_its_axes(opened, results):
    own = results.trials.query("probe == 'training'")
    opened.value("document.querySelector('#training details.trials').open = true")
    labels = opened.value(
        "[...document.querySelectorAll('#training details.trials label')].map((each) => each.firstChild.data.trim())"
    )
    assert {"cell", "task", "length", "seed", "status"} <= set(labels)
    opened.value(
        "for (const [name, value] of [['cell', '=LSTM'], ['seed', '=1'], ['length', '=200']]) {"
        " const label = [...document.querySelectorAll('#training details.trials label')]"
        "   .find((each) => each.firstChild.data.trim() === name);"
        " label.control.value = value; label.control.dispatchEvent(new Event('change', { bubbles: true })); }"
    )
    keys = opened.value(
        "[...document.querySelectorAll('#training details.trials tbody tr')].filter((row) => row.offsetParent)"
        ".map((row) => [...row.cells].at(-1).innerText)"
    )
    assert keys == [key[:12] for key in own.query("cell == 'lstm' and seed == 1 and length == 200")["key"]] != []


def test_a_pointer_shows_the_values_of_the_nearest_point(opened):
    figure = "#throughput_hidden-float32"
    rows = rows_of(opened, figure)
    for row in (0, len(rows) // 2, len(rows) - 3):
        x, y = place_of(opened, figure, row)
        opened.point(x + 3, y)
        shown = tip(opened, figure)
        assert shown is not None
        assert shown.split("\n")[:2] == [rows["panel"][row], rows["series"][row]]
        speed = next(float(value) for value in rows.loc[row, rows.columns[3:5]] if value)
        assert f"{speed:.4g}" in {f"{float(part.rpartition(': ')[2]):.4g}" for part in shown.split("\n")[2:]}
    opened.point(2, 2)
    assert tip(opened, figure) is None


def test_a_finger_shows_values_too(opened):
    opened.size(390)
    figure = "#success_by_length-adding"
    rows = rows_of(opened, figure)
    opened.tap(*place_of(opened, figure, 1))
    shown = tip(opened, figure)
    assert shown is not None
    assert shown.split("\n")[0] == rows["series"][1]
    inside = f"document.querySelector('{figure} .tip').getBoundingClientRect()"
    assert 0 <= opened.value(f"{inside}.left") < opened.value(f"{inside}.right") <= 390


def test_a_keyboard_goes_from_point_to_point_and_says_so(opened):
    figure = "#success_by_length-adding"
    rows = rows_of(opened, figure)
    opened.value(f"document.querySelector('{figure} .data input').focus()")
    first = tip(opened, figure)
    opened.press("ArrowRight")
    second = tip(opened, figure)
    assert first is not None
    assert second is not None
    assert [first.split("\n")[0], second.split("\n")[0]] == list(rows["series"][:2])
    assert first != second
    spoken = opened.value("document.activeElement.getAttribute('aria-valuetext')")
    assert spoken == second.replace("\n", ", ")
    assert opened.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    opened.press("End")
    assert tip(opened, figure).startswith(rows["series"].iloc[-1])
    opened.press("Escape")
    assert tip(opened, figure) is None


def test_the_first_tab_offers_to_skip_the_contents(opened):
    opened.press("Tab")
    assert opened.value("document.activeElement.innerText") == "Skip to content"
    assert opened.value("document.activeElement.getBoundingClientRect().left") >= 0
    assert opened.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    opened.value("document.activeElement.click()")
    assert opened.value("document.activeElement.tagName") == "MAIN"


def test_every_control_has_a_name(opened):
    names = opened.value("[...document.querySelectorAll('select, input')].map((each) => each.labels[0].textContent)")
    assert len(names) > 10
    assert all(name.strip() for name in names)


def test_motion_is_reduced_for_who_asks(browser, path):
    for wish, behaviour in (("no-preference", "smooth"), ("reduce", "auto")):
        browser.prefer(reduced_motion=wish)
        browser.open(path)
        assert browser.value("getComputedStyle(document.documentElement).scrollBehavior") == behaviour


def test_one_click_keeps_the_data_of_a_figure(opened, tmp_path):
    figure = "#success_by_length-adding"
    opened.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    opened.value(f"document.querySelector('{figure} .data a').click()")
    kept, end = tmp_path / "success_by_length-adding.csv", time.monotonic() + 20
    while not kept.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert pd.read_csv(kept, dtype=str, keep_default_na=False).equals(rows_of(opened, figure))


def test_without_scripts_the_page_is_complete(browser, path, html):
    browser.size(1280)
    try:
        browser.call("Emulation.setScriptExecutionDisabled", value=True)
        browser.open(path)
        assert browser.value("document.querySelectorAll('select, input, .tip').length") == 0
        counts = "[...document.querySelectorAll('%s')].length"
        for tag in ("figure", "table", "svg", "tr"):
            assert browser.value(counts % tag) == html.count(f"<{tag}")
        browser.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert browser.value("[...document.querySelectorAll('tr, svg')].every((each) => each.getClientRects().length)")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.complaints() == []


def test_names_from_outside_stay_text(browser, empty_run, tmp_path):
    empty_run.sweep = {"name": NASTY, "title": NASTY, "description": NASTY}
    for seed in range(6):
        key = empty_run.trial("training", cell="gru", task=f"{NASTY}{seed % 2}", note=f"{NASTY}{seed}", seed=seed)
        empty_run.add(key, "evaluation_score", NASTY, (0, 0.5), (10, 0.6 + seed / 100))
        empty_run.add(key, "final_score", NASTY, (None, 0.6))
    path = tmp_path / "report.html"
    path.write_text(page.render(compose(empty_run.results())), encoding="utf-8")
    browser.size(1280)
    browser.open(path)
    browser.value("document.querySelector('.data input').focus()")
    assert NASTY in browser.value("document.querySelector('.tip').innerText")
    options = browser.value("[...document.querySelectorAll('option')].map((each) => each.text)")
    assert f"{NASTY}1" in options
    assert browser.value("typeof window.injected") == "undefined"
    assert browser.value("document.scripts.length") == 1
    assert browser.complaints() == []


def test_the_policy_stops_what_escaping_would_miss(browser, html, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(html.replace("</main>", f'{NASTY}<img src="http://localhost:1/x.png"></main>'), encoding="utf-8")
    browser.open(path)
    assert browser.value("typeof window.injected") == "undefined"
    assert len([text for text in browser.complaints() if "Content Security Policy" in text]) == 2


def test_a_thousand_trials_open_at_once(browser, build, tmp_path):
    results = build("training", seeds=167)
    assert len(results.trials) > 1000
    path = tmp_path / "report.html"
    path.write_text(page.render(compose(results)), encoding="utf-8")
    assert path.stat().st_size < LARGEST_PAGE_BYTES
    browser.size(1280)
    loads = []
    for _ in range(3):  # other work on the machine can only make a load longer
        browser.open(path)
        loads.append(browser.value("performance.getEntriesByType('navigation')[0].loadEventEnd"))
    assert browser.value("document.querySelectorAll('.trials tbody tr').length") == len(results.trials)
    assert 0 < min(loads) < LONGEST_LOAD_MS
