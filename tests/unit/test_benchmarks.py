"""The benchmarks' own logic: rows and goals, what a report keeps, plots, stages, and turns."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import pysquash
from benchmarks import plots
from benchmarks.growth import growth_row
from benchmarks.profile import rows
from benchmarks.report import Row, Section, merged
from benchmarks.stages import COMPRESSING, MODULES, OTHER_THREADS, STAGES, stage_of
from benchmarks.tools import Tool, take_turns
from pysquash.writer.output import Output


@pytest.mark.parametrize(
    ("row", "shown", "is_met"),
    [
        (Row(("a",), 0.7, 0.75), ("0.70", "≤ 0.75", "yes"), True),
        (Row(("a",), 0.75, 0.75), ("0.75", "≤ 0.75", "yes"), True),
        (Row(("a",), 0.7501, 0.75), ("0.75", "≤ 0.75", "**no**"), False),
        (Row(("a",), 1.00512, 1.005, digits=4), ("1.0051", "≤ 1.0050", "**no**"), False),
        (Row(("a",), 42.4, digits=0), ("42", "", ""), None),
        (Row(("a",)), ("", "", ""), None),
    ],
)
def test_a_row_says_whether_its_goal_is_met(row: Row, shown: tuple[str, str, str], is_met: bool | None) -> None:
    assert row.measured == shown
    assert row.is_met is is_met


def test_a_section_has_as_many_columns_as_it_needs() -> None:
    def lines(measured: str | None, *rows: Row) -> list[str]:
        text = str(Section("Title", "Text.", ("what",), measured, list(rows), plot="plot.svg"))
        return [line for line in text.splitlines() if line.startswith("|")]

    assert lines("ratio", Row(("a",), 1, 2), Row(("b",), 3)) == [
        "| what | ratio | goal | met |",
        "|---|---|---|---|",
        "| a | 1.00 | ≤ 2.00 | yes |",
        "| b | 3.00 |  |  |",
    ]
    assert lines("ratio", Row(("a",), 1)) == ["| what | ratio |", "|---|---|", "| a | 1.00 |"]
    assert lines(None, Row(("a",))) == ["| what |", "|---|", "| a |"]
    assert lines("ratio") == []
    assert "![Title](plot.svg)" in str(Section("Title", "Text.", ("what",), rows=[Row(("a",))], plot="plot.svg"))


def test_a_report_keeps_parts_of_the_same_machine_only() -> None:
    order = ["one", "two", "three"]
    first = merged("- here", {"two": (5, "## Two\n"), "one": (5, "## One\n")}, "", order)
    assert first.index("## One") < first.index("## Two")
    again = merged("- here", {"one": (1, "## New\n"), "two": (1, "")}, first, order)  # two measured nothing
    assert "## One" not in again
    assert again.count("## New") == again.count("## Two") == 1
    assert "*Part `one`: 1 run.*" in again
    assert again.count("*Part `two`: 5 runs.*") == 1
    assert merged("- here", {}, again, order) == again
    assert "## Two" not in merged("- elsewhere", {"one": (1, "## New\n")}, again, order)


def tool(name: str, *seconds: float) -> Tool:
    return Tool(name, "", seconds=list(seconds))


def test_growth_is_told_by_the_time_for_each_entry() -> None:
    compared = [tool("pysquash", 3.0, 2.0, 2.2), tool("tar2sqfs", 1.0)]
    first = growth_row(1000, compared, None)
    assert first.cells == ("1,000", "2.20 (2.00 to 3.00)", "2200.0", "1.00 (1.00 to 1.00)")
    assert first.measured == ("", "", "")
    assert growth_row(1000, compared, 0.0022).is_met
    assert not growth_row(1000, compared, 0.001).is_met
    assert growth_row(1000, compared[:1], 0.0022).cells[-1] == ""


def test_plots_show_what_the_rows_say(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plots.growth({"pysquash": {1000: 0.2, 10000: 1.0}, "tar2sqfs": {1000: 0.1, 10000: 1.5}}, tmp_path / "growth.svg")
    bars = [("quick.tar / other", Row((), 0.51, 0.75)), ("slow.tar / other", Row((), 1.25, 0.9))]
    plots.ratios(bars, tmp_path / "ratios.svg")
    before = (tmp_path / "ratios.svg").read_bytes()
    plots.ratios(bars, tmp_path / "ratios.svg")
    assert (tmp_path / "ratios.svg").read_bytes() == before
    for name, wanted in (("growth", {"pysquash", "tar2sqfs", "linear"}), ("ratios", {"quick.tar / other", "1.25"})):
        root = ElementTree.parse(tmp_path / f"{name}.svg").getroot()
        assert wanted <= {"".join(text.itertext()).strip() for text in root.iter("{http://www.w3.org/2000/svg}text")}


def test_tools_take_turns_and_few_runs_are_enough_for_slow_ones(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = f"{sys.executable} -c \"open('{log}', 'a').write('{{}}')\"; touch {{{{output}}}}"
    tools = [
        Tool("a", program.format("a")),
        Tool("b", program.format("b"), most_runs=1),
        Tool("none", "", "no-such-program"),
    ]
    (tmp_path / "made").mkdir()
    compared = take_turns(tools, 2, tmp_path / "made", Path.unlink)
    assert log.read_text() == "abaa"
    assert [(each.name, len(each.seconds)) for each in compared] == [("a", 2), ("b", 1)]
    assert not list((tmp_path / "made").iterdir())


def test_a_tool_that_fails_ends_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="failed: exit 3"):
        take_turns([Tool("a", "exit 3")], 1, tmp_path, Path.unlink)


def test_each_module_that_has_a_stage_is_there() -> None:
    package = Path(pysquash.__file__).parent
    assert [name for name in MODULES if not (package / name).exists()] == []
    assert set(MODULES.values()) < set(STAGES)


def test_a_stage_is_that_of_the_innermost_module() -> None:
    found = []

    class Target:
        def write(self, _data: bytes) -> None:
            found.append(stage_of(sys._getframe()))

        def seek(self, *_place: int) -> int:
            return 0

    Output(Target()).write(b"")  # type: ignore[arg-type]
    assert found == ["storing"]
    assert stage_of(None) == "start-up"


def test_a_profile_gives_shares_of_the_main_thread() -> None:
    found = {**dict.fromkeys(STAGES, 0.0), "parsing": 1.0, "merge": 3.0, COMPRESSING: 5.0, OTHER_THREADS: 0.5}
    table = {row.cells[0]: row.cells[1:] for row in rows([found, {**found, "merge": 1.0}])}
    assert table["parsing"] == ("1.000", "25%", "1.000", "50%")
    assert table["**all of the main thread**"] == ("4.000", "100%", "2.000", "100%")
    assert table[COMPRESSING] == ("5.000", "", "5.000", "")
