import csv
import os
from pathlib import Path

import pandas as pd
import pytest

from graft.tasks.tsv import read_tsv

TEXTS = ['he said "no" to me', "a dull film", "so so", '"closed at once"']


@pytest.fixture
def file(tmp_path):
    return tmp_path / "train.tsv"


def read(file, text: str) -> dict:
    file.write_bytes(text.encode())
    return read_tsv(file).to_dict("list")


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_pandas_writes_is_read_as_it_was(file, index, quoting, end):
    table = pd.DataFrame({"sentence": [*TEXTS, "a\ttab", "two\nlines"], "label": list("010101")})
    for given in (table, table[:4], table.sample(frac=1, random_state=0)):
        given.to_csv(file, sep="\t", index=index, quoting=quoting, lineterminator=end)
        assert read_tsv(file).to_dict("list") == given.to_dict("list")


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "Unnamed: 0.1"])
def test_a_column_without_a_name_that_numbers_the_rows_is_left_out(file, name):
    found = read(file, f"{name}\tsentence\tlabel\n0\ta film\t1\n2\ta plot\t1\n")
    assert found == {"sentence": ["a film", "a plot"], "label": ["1", "1"]}


def test_another_column_without_a_name_stays(file):
    found = read(file, "\tsentence\tlabel\nx\ta film\t1\nx\ta plot\t1\n")
    assert list(found) == ["Unnamed: 0", "sentence", "label"]


def test_row_names_of_r_have_no_name_in_the_header(file):
    expected = {"sentence": ["a film", "a plot"], "label": ["1", "0"]}
    assert read(file, "sentence\tlabel\n1\ta film\t1\n2\ta plot\t0\n") == expected
    assert read(file, '"sentence"\t"label"\n"1"\t"a film"\t1\n"2"\t"a plot"\t0\n') == expected


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", "\n\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("tail", ["", "\t", "\t\t"])
def test_ends_of_lines_marks_blank_lines_and_blank_columns_are_no_content(file, end, mark, tail):
    lines = [f"sentence{'	label'}{tail}", f"a film\t1{tail}", f"null\t0{tail}", ""]
    assert read(file, mark + end.join(lines)) == {"sentence": ["a film", "null"], "label": ["1", "0"]}


def test_quotation_marks_of_unquoted_files_stay(file):
    # As in GLUE: some sentences are wholly quoted, others open a quotation and do not close it.
    texts = ['"never closed', '"wholly quoted"', 'he said "no"', 'closed only"', '"" of nothing', '"one" and "two"']
    found = read(file, "sentence\tlabel\n" + "".join(f"{text}\t1\n" for text in texts))
    assert found["sentence"] == texts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; a header line and at least one row are needed"),
        ("a\tb\n1\n", "line 2 has 1 columns but the header 2; a row is one line"),
        ("a\tb\nx y\t1\nx\ty\t1\n", "line 3 has 3 columns but the header 2"),
        ("a\tb\n\nx\ry\t1\nx\t0\n", "line 3 has 1 columns but the header 2"),
        ("a\tb\nk\tx y\t1\nl\tx y\t1\n", "rows have 3 columns but the header 2; every column needs a name"),
        ("a\ta\nx\t1\n", "column 'a' appears twice in the header; give every column a"),
        ("a\tb\nx\t1\na\tb\n", "line 3 repeats the header; leave it out"),
        ("\t\nx\t1\n", "line 1 has no column names; the first line must be a header"),
        # Quotation marks that could be either.
        ('a\tb\n"x y"\t1\n', "line 2 has quotation marks around a whole cell, which may be .* quoting=csv.QUOTE_ALL"),
        ('a\tb\n"x ""y"""\t1\nx 5" z\t1\n', "1 of its cells are quoted, but line 3 has a quotation mark"),
        ('"a"\t"b"\n"x \\"y\\""\t1\n', "the header's cells are quoted, but line 2 has a quotation mark"),
        ('a\tb\n"x\t1\ty\nz"\t1\n', "a quotation mark is never closed"),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused_in_one_sentence(file, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read(file, text)
    assert str(error.value).startswith(f"{file}: ") and len(str(error.value).splitlines()) == 1


@pytest.mark.skipif("GRAFT_GLUE" not in os.environ, reason="GRAFT_GLUE is not set; export GRAFT_GLUE=FOLDER")
@pytest.mark.parametrize("name", ["RTE", "SST-2", "STS-B"])
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_real_glue_is_read_byte_for_byte(name, split):
    path = Path(os.environ["GRAFT_GLUE"]) / name / f"{split}.tsv"
    table = read_tsv(path)
    lines = ["\t".join(table.columns), *("\t".join(row) for row in table.itertuples(index=False))]
    assert "\n".join(lines) + "\n" == path.read_bytes().decode()
