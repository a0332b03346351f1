"""The leaderboard's files as readers and programs see them: pandas on the CSV, the LaTeX compiled where it can be."""

import argparse
import copy
import csv
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import leaderboard as job
from pipelines.leaderboard.build import leaderboard
from pipelines.leaderboard.cells import means_table
from pipelines.leaderboard.comparisons import holm
from pipelines.leaderboard.latex import escape, leaderboard_latex
from pipelines.leaderboard.tables import leaderboard_csv, leaderboard_markdown, leaderboard_summary
from pipelines.tables import COLUMNS
from pipelines.texts import percent
from tests.pipelines.leaderboard.made_up_runs import HEAD, LINE, write_run
from zsad_core.benchmarks.table import benchmark as benchmark_of_the_table

HOSTILE = 'a|b_c & $x$ <i>#%{}~^\\ "é" 日本'
COLUMN = {column.name: column for column in COLUMNS}


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    brain = benchmark_of_the_table("BrainMRI")
    small = {
        "HeadCT": HEAD,
        "BrainMRI": (("image",), {"brain": (brain.categories[0].test_normal, brain.categories[0].test_anomalous)}),
    }
    btad = {
        "BTAD": (
            ("image", "pixel"),
            {c.name: (c.test_normal, c.test_anomalous) for c in benchmark_of_the_table("BTAD").categories},
        )
    }
    seeds = [write_run(folder / f"s{seed}", small | btad | {"our | line": LINE}, seed=seed) for seed in (0, 1)]
    other = write_run(folder / "b", small | btad | {"our | line": LINE}, base=4, backbone="ViT-B-16:openai")
    partial = write_run(folder / "c", {"HeadCT": HEAD}, base=5, salt="x", backbone="zsad-small:random")
    return [*(f"ours={run}" for run in seeds), other, f"{HOSTILE}={partial}"]


@pytest.fixture(scope="module")
def board(arguments):
    return leaderboard(arguments)


@pytest.fixture(scope="module")
def table(board):
    return pd.read_csv(
        io.StringIO(leaderboard_csv(board)), keep_default_na=False, na_values={c.name: [""] for c in COLUMNS}
    )


def rows_of(text):
    """Cells of every Markdown table row."""
    return [re.split(r"(?<!\\) \| ", line[2:-2]) for line in text.splitlines() if line.startswith("| ")]


def test_csv_has_every_value_once(board, table):
    assert not table.duplicated(["entry", "benchmark", "row", "category", "defect"]).any()
    lines = table.set_index(["entry", "benchmark", "row", "category", "defect"]).sort_index()
    count = 0
    for benchmark in board["benchmarks"]:
        for entry, cell in benchmark["cells"].items():
            parts = [("mean", "", "", cell["mean"])]
            for category, result in cell.get("categories", {}).items():
                parts.append(("category", category, "", result))
                parts += [("defect", category, defect, of) for defect, of in result["defects"].items()]
            for row, category, defect, groups in parts:
                line = lines.loc[(entry, benchmark["name"], row, category, defect)]
                count += 1
                for column in COLUMNS:
                    facts = (groups.get(column.group) or {}).get(column.metric)
                    value = None if facts is None else facts["value"]
                    assert pd.isna(line[column.name]) if value is None else line[column.name] == value
                    for more in ("low", "high", "spread"):
                        expected = (facts or {}).get(more)
                        assert line[f"{column.name}_{more}"] == ("" if expected is None else str(expected))
    assert count == (table["row"] != "overall").sum()


def test_csv_by_pandas_gives_the_means(board, table):
    categories = table[(table["entry"] == "ours") & (table["row"] == "category")]
    means = table[(table["entry"] == "ours") & (table["row"] == "mean")].set_index("benchmark")
    by_pandas = categories.groupby("benchmark")[list(COLUMN)].mean()
    pd.testing.assert_frame_equal(by_pandas, means[list(COLUMN)].sort_index(), check_names=False, check_dtype=False)
    assert means.loc["our | line", "fewer"].split()[0] == "image_auroc=2/3" and set(means["runs"]) == {"2"}
    btad = means.loc["BTAD"]
    assert btad["image_auroc_published"] == "0.932" and btad["image_auroc_status"] == "first-hand"
    assert float(btad["image_auroc_difference"]) == pytest.approx(btad["image_auroc"] - 0.932)
    assert means.loc["HeadCT", "remarks"] == "13 of 200 images" and means.loc["HeadCT", "test_set"] == ""
    published = table[(table["entry"] == "CoPS (published)") & (table["benchmark"] == "BTAD")].iloc[0]
    assert (published["kind"], published["image_ap"], published["image_ap_status"]) == (
        "published",
        0.949,
        "first-hand",
    )
    overall = table[(table["entry"] == "CoPS (published)") & (table["row"] == "overall")].set_index("benchmark")
    of_cops = table[(table["entry"] == "CoPS (published)") & (table["row"] == "mean")]
    assert overall.loc["all", "image_auroc"] == pytest.approx(of_cops["image_auroc"].mean())
    assert "image_auroc=3/4" in overall.loc["all", "fewer"].split()
    of_run = table[(table["entry"] == "bayes-pfl") & (table["row"] == "overall")].iloc[0]
    assert float(of_run["image_auroc_low"]) < of_run["image_auroc"] < float(of_run["image_auroc_high"])
    assert (overall["image_auroc_low"] == "").all()  # published figures have none


def test_markdown_cells(board):
    text = leaderboard_markdown(board)
    rows = rows_of(text)
    ours = board["benchmarks"][0]["cells"]["ours"]["mean"]["pixel"]["auroc"]
    value, low, high, spread = (f"{100 * ours[key]:.1f}" for key in ("value", "low", "high", "spread"))
    assert any(f"{value} ± {spread} [{low}, {high}]" in row for row in rows if row[0] == "ours")
    differences = [row for row in rows if row[0] == "difference to its published figure"]
    assert any(cell.endswith("‡") and cell[0] in "+-" for row in differences for cell in row[1:])
    assert "93.2ᶠ" in {cell.strip("*<u>/") for row in rows for cell in row} | {c for r in rows for c in r}
    for mark in "ᶠ", "ʳ", "ˢ", "†", "‡", "±", "(k/n)":
        assert sum(f"{mark} " in line and "Bold and underlined" in line for line in text.splitlines()) == 1
    assert "- ours: 13 of 200 images." in text.splitlines()
    assert "Untrained weights: the figures mean nothing." in text
    assert "HeadCT" in text and "MPDD (not one of the table's benchmarks)" in text


def test_markdown_tables_are_whole_whatever_the_names_are(board):
    text = leaderboard_markdown(board)
    block = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("| "):
            block.append(len(re.findall(r"(?<!\\)\|", line)))
        elif block:
            assert len(set(block)) == 1 and len(block) > 2
            block = []
    names = [row[0] for row in rows_of(text) if "日本" in row[0]]
    assert names and set(names) == {r'a\|b_c \& \$x\$ \<i\>\#%{}\~^\\ "é" 日本'}
    assert "## our \\| line" in text.splitlines()


def test_highest_and_second_are_marked_among_the_same_images_only(board):
    titles, rows = means_table(board, COLUMN["image_auroc"])
    assert titles == ["BTAD", "HeadCT", "BrainMRI", "our | line", "mean of all"]
    ranks = {title: {entry["name"]: cells[i].rank for entry, cells in rows} for i, title in enumerate(titles)}
    values = {title: {entry["name"]: cells[i].value for entry, cells in rows} for i, title in enumerate(titles)}
    published = {name: value for name, value in values["BTAD"].items() if value}
    highest = sorted(published, key=published.get)
    assert ranks["BTAD"][highest[-1]] == 1 and ranks["BTAD"][highest[-2]] == 2
    assert all(rank == 0 for name, rank in ranks["BTAD"].items() if name not in highest[-2:])
    # On 13 of HeadCT's images only the two entries that share them can be told apart; figures of others cannot.
    others = [entry["name"] for entry, _ in rows if entry["name"] not in ("ours", "bayes-pfl")]
    assert sum(values["HeadCT"][name] is not None for name in others) > 5
    marked = {name for name, rank in ranks["HeadCT"].items() if rank}
    assert len(marked) == 2 and not marked & set(others)
    assert not any(ranks["our | line"].values())  # means over fewer categories than there are


def test_nothing_is_highest_of_one(arguments):
    _, rows = means_table(leaderboard(arguments[2:3], "none"), COLUMN["image_auroc"])
    assert {cell.rank for _, cells in rows for cell in cells} == {0}


def test_latex_says_which_weights_are_untrained(board):
    note = f"untrained weights, the figures mean nothing: {escape(HOSTILE)}."
    assert note in " ".join(leaderboard_latex(board).split())


def test_untrained_weights_are_never_the_best(board):
    changed = copy.deepcopy(board)
    for entry in changed["entries"]:
        entry["untrained"] = entry["kind"] == "run"
    for column in COLUMNS:
        for entry, cells in means_table(changed, column)[1]:
            assert entry["kind"] == "published" or {cell.rank for cell in cells} == {0}, column
    assert any(cell.rank == 1 for _, cells in means_table(changed, COLUMN["image_auroc"])[1] for cell in cells)


def test_significant_differences_are_named_with_holm(board, monkeypatch):
    changed = copy.deepcopy(board)
    main = [("image", "auroc"), ("pixel", "auroc"), ("pixel", "aupro")]
    p = [1e-9, 0.0021, 0.9, 0.012]
    shown = [c for c in changed["comparisons"] + changed["overall_comparisons"] if (c["group"], c["metric"]) in main]
    for i, each in enumerate(shown):
        each["p"] = p[i] if i < len(p) else 0.8
    all_shown = [row for row in rows_of(leaderboard_markdown(changed)) if len(row) == 7 and row[5][:1] in "<01"]
    assert len(all_shown) == len(shown) and {row[5] for row in all_shown} >= {"0.800", "0.900"}
    monkeypatch.setattr("pipelines.leaderboard.tables.SHOWN", len(shown) - 1)
    text = leaderboard_markdown(changed)
    names = [row for row in rows_of(text) if len(row) == 7 and row[5][:1] in "<01"]
    corrected = holm([each["p"] for each in shown])
    expected = [i for i, value in enumerate(corrected) if value <= 0.05]
    assert expected == [0, 1] and len(names) == 2
    assert names[0][5:] == ["< 0.001", "< 0.001"] and names[1][5:] == ["0.002", f"{0.0021 * (len(shown) - 1):.3f}"]
    assert names[0][:4] == ["ours", "bayes-pfl", shown[0]["benchmark"], "Image AUROC"]
    assert f"2 of {len(shown)} comparisons are significant at 5 %" in text
    assert "not the same images: HeadCT." in text


def test_a_single_run_has_nothing_to_be_compared_with(arguments):
    text = leaderboard_markdown(leaderboard(arguments[-1:], "none"))
    assert (
        "There is one method that was run: nothing to compare it with." in text
        and "published" not in text.split("##")[-1]
    )


@pytest.mark.parametrize("value, text", [(None, "–"), (0.0, "0.0"), (0.99951, "100.0"), (0.1234, "12.3")])
def test_percent(value, text):
    assert percent(value) == text


def test_signed_percent():
    assert [percent(each, signed=True) for each in (0.0123, -0.0123, 0.0001, -0.0001, None)] == [
        "+1.2",
        "-1.2",
        "0.0",
        "0.0",
        "–",
    ]


def test_latex_is_balanced_and_every_row_has_all_columns(board):
    text = leaderboard_latex(board)
    assert text.count(r"\begin{tabular}") == 2 == text.count(r"\end{tabular}")
    plain = re.sub(r"\\[\\{}&%$#_]", " ", text.replace(r"\\", "\n"))
    depth = 0
    for c in plain:
        depth += {"{": 1, "}": -1}.get(c, 0)
        assert depth >= 0
    assert depth == 0
    for tabular in re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        columns = int(re.search(r"l\*\{(\d+)\}\{r\}", tabular)[1]) + 1
        rows = [line for line in tabular.splitlines() if line.endswith(r"\\")]
        assert len(rows) > 10
        for row in rows:
            cells = len(re.findall(r"(?<!\\)&", row)) + 1
            assert cells == columns or (f"multicolumn{{{columns}}}" in row and cells == 1), row
    assert all(ord(c) < 128 for c in text)


def test_latex_escape():
    assert escape(r"a_b & 50% $x^2$ #1 {~} \end") == (
        r"a\_b \& 50\% \$x\textasciicircum{}2\$ \#1 \{\textasciitilde{}\} \textbackslash{}end"
    )
    assert escape("é日\n x\x07") == r"\'{e}U+65E5 xU+0007"


def has_booktabs():
    return shutil.which("pdflatex") and not subprocess.run(["kpsewhich", "booktabs.sty"], check=False).returncode


@pytest.mark.skipif(not has_booktabs(), reason="no pdflatex with booktabs here")
@pytest.mark.parametrize("package", ["booktabs", "booktabs,graphicx"])
def test_latex_compiles_in_an_article(board, tmp_path, package):
    (tmp_path / "board.tex").write_text(leaderboard_latex(board))
    body = "\\begin{document}\n\\input{board}\n\\end{document}\n"
    (tmp_path / "a.tex").write_text(f"\\documentclass{{article}}\n\\usepackage{{{package}}}\n{body}")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (tmp_path / "a.pdf").exists(), done.stdout[-3000:]
    assert ("Overfull" in done.stdout) == (package == "booktabs")


def test_summary(board):
    lines = leaderboard_summary(board).splitlines()
    assert lines[0].startswith("Image AUROC") and lines[0].split()[2] == "BTAD"
    first = lines[: lines.index("")]
    assert len(first) == len(board["entries"]) + 1
    assert len({len(line) for line in first if "日" not in line}) == 1
    assert any(line.startswith("Pixel AUROC") for line in lines)
    assert any(line.startswith("untrained weights, the figures mean nothing: a|b_c") for line in lines)
    pairs = [
        each for each in board["overall_comparisons"] if each["metric"] == "auroc" and each["group"] != "image_plain"
    ]
    told = lines[[line.startswith("Same images, A - B") for line in lines].index(True) + 1 :][: len(pairs)]
    assert len(pairs) > 0
    for each, line in zip(pairs, told, strict=True):
        shown = [f"{100 * each[key]:+.1f}" for key in ("difference", "low", "high")]
        assert f"{shown[0]}" in line and f"[{shown[1]}, {shown[2]}]" in line
    aupro = leaderboard_summary(board, "aupro_200").splitlines()
    assert aupro[0].startswith("Pixel AUPRO-200") and any("76.6ˢ" in line for line in aupro)
    change = copy.deepcopy(board)
    change["benchmarks"], change["overall"] = [], []
    assert "no aupro of any benchmark" in leaderboard_summary(change, "aupro")


def test_every_group_has_a_table(board):
    text = leaderboard_markdown(board)
    titles = [f"## {group} AUROC" for group in ("Image", "Plain", "Pixel")]
    assert all(title in text.splitlines() for title in titles)


def test_the_command_writes_the_same_bytes_in_any_process_without_torch_and_ray(arguments, tmp_path, capsys):
    outs = [tmp_path / "one", tmp_path / "two"]
    parser = argparse.ArgumentParser()
    job.configure(parser)
    assert job.run(parser.parse_args([*arguments, "--out", str(outs[0]), "--metric", "ap"])) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Image AP") and f"{outs[0]}: leaderboard.html" in printed
    code = (
        "import argparse, sys; from jobs import leaderboard as job; parser = argparse.ArgumentParser();"
        "job.configure(parser); job.run(parser.parse_args(sys.argv[1:]));"
        "assert not {'torch', 'ray'} & sys.modules.keys()"
    )
    command = [sys.executable, "-c", code, *arguments, "--out", str(outs[1])]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3], capture_output=True)
    names = ["leaderboard.csv", "leaderboard.html", "leaderboard.json", "leaderboard.md", "leaderboard.tex"]
    assert [sorted(path.name for path in out.iterdir()) for out in outs] == [names, names]
    assert all((outs[0] / name).read_bytes() == (outs[1] / name).read_bytes() for name in names)


def test_a_run_without_benchmarks(tmp_path):
    board = leaderboard([write_run(tmp_path, {})])
    assert leaderboard_markdown(board).startswith("# Leaderboard") and leaderboard_csv(board).count("\n") == 1
    assert r"\begin{table" not in leaderboard_latex(board) and "no auroc" in leaderboard_summary(board)


@given(st.text())
def test_any_name_is_ascii_with_balanced_braces_in_latex(name):
    text = escape(name)
    assert text.isascii() and "\n" not in text
    plain = re.sub(r"\\[\\{}]", "", text)
    assert plain.count("{") == plain.count("}") and not re.search(r"(?<!\\)[&%#_]", text)


ODD_NAMES = [
    "=1+1", "@x,y;z", 'a "quoted" \nline', "</script><script>alert(1)</script>", "a | b\r\n| c", "\u2028 \u202e", "x" * 5000, "\\input{x}",
    "{{style}}", "<!--",
]  # fmt: skip


def test_categories_of_any_name_come_back_from_csv_and_break_no_table(tmp_path):
    run = write_run(tmp_path / "r", {"our | <b>set</b>": (("image",), dict.fromkeys(ODD_NAMES, (3, 3)))})
    board = leaderboard([f"@1 | \n<i> {HOSTILE}={run}"])
    rows = list(csv.DictReader(io.StringIO(leaderboard_csv(board), newline="")))
    assert {row["category"] for row in rows} == {"", *ODD_NAMES}  # as they are: nothing is taken from a name
    assert {row["defect"] for row in rows} == {"", "crack"} and {row["kind"] for row in rows} == {"run"}
    for line in leaderboard_markdown(board).splitlines():
        assert not re.search(r"(?<!\\)<(?!/?u>)", line)
        assert not line.startswith("<i>")
    assert r"\textless" in leaderboard_latex(board) or "$<$" in leaderboard_latex(board)
    assert all(ord(c) < 128 for c in leaderboard_latex(board))
