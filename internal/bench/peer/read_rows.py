"""Reads tables when told to, the peer of steps/convert/convertbench.

    python read_rows.py THREADS

For every line "PEER WHAT PATH" on standard input it prints the seconds that reading took. PEER is
duckdb, pyarrow, polars or datasets; WHAT is csv (all columns as text), parquet, or jsonl. The
first three materialise all columns in memory; datasets loads JSON Lines into its cache, which is
a folder of its own every time. "pyarrow make-parquet PATH" writes the CSV at PATH as Parquet,
beside it, in row groups of 50,000.
"""

import os
import pathlib
import sys
import tempfile
import time

THREADS = int(sys.argv[1])
os.environ["POLARS_MAX_THREADS"] = str(THREADS)

import datasets
import duckdb
import polars
import pyarrow
import pyarrow.csv
import pyarrow.parquet

datasets.disable_progress_bars()
pyarrow.set_cpu_count(THREADS)
connection = duckdb.connect(config={"threads": THREADS})


def pyarrow_csv(path):
    """A table of text."""
    with open(path, encoding="utf-8") as file:
        columns = file.readline().strip().split(",")
    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types={c: pyarrow.string() for c in columns}),
    )


def table(query):
    """What a query of DuckDB yields, as an Arrow table."""
    return connection.sql(query).to_arrow_table()


def load(path):
    """JSON Lines as datasets loads them."""
    with tempfile.TemporaryDirectory(dir=pathlib.Path(path).parent) as cache:
        return datasets.load_dataset("json", data_files=path, split="train", cache_dir=cache).num_rows


def make_parquet(path):
    """The CSV as Parquet."""
    pyarrow.parquet.write_table(pyarrow_csv(path), pathlib.Path(path).with_suffix(".parquet"), row_group_size=50_000)


# DuckDB splits files at line ends within quotes unless it reads them on one thread.
STRICT = "header = true, delim = ',', quote = '\"', escape = '\"', parallel = false"

WORK = {
    ("duckdb", "csv"): lambda path: table(f"select * from read_csv('{path}', all_varchar = true, {STRICT})"),
    ("duckdb", "parquet"): lambda path: table(f"select * from read_parquet('{path}')"),
    ("pyarrow", "csv"): pyarrow_csv,
    ("pyarrow", "parquet"): lambda path: pyarrow.parquet.read_table(path),
    ("pyarrow", "make-parquet"): make_parquet,
    ("polars", "csv"): lambda path: polars.read_csv(path, infer_schema=False),
    ("polars", "parquet"): lambda path: polars.read_parquet(path),
    ("datasets", "jsonl"): load,
}


def main():
    for line in sys.stdin:
        peer, what, path = line.strip().split(" ", 2)
        start = time.perf_counter()
        result = WORK[peer, what](path)
        seconds = time.perf_counter() - start
        del result
        print(seconds, flush=True)


main()
