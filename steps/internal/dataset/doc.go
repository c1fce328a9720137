// Package dataset reads and writes training data. It is the only package that
// knows Apache Arrow and Parquet.
//
// Three forms of data meet here:
//
//   - Rows: what stands in a file of the user's (JSON, JSONL, CSV, TSV, Parquet,
//     Arrow, Excel, plain text), read one at a time with Open. What a file is
//     packed in is taken off by package pack, text is decoded by charset, and
//     split into blocks that are parsed at once, their rows staying in order.
//   - Records: rows of one declared shape, the artifact "records", made from rows
//     with a Shaper, written with CreateRecords and read with OpenRecords.
//   - Tokens: rows of ids, masks and labels, the artifact "tokens", a directory
//     that Hugging Face datasets loads with load_from_disk, written with
//     CreateTokens and read with OpenTokens.
//
// Every file is hostile: lengths are bounded before memory is allocated, nesting
// and record sizes have limits, and a panic of the Arrow or Parquet library turns
// into an error that names the file. What is written depends on the rows alone:
// equal rows give equal bytes.
package dataset
