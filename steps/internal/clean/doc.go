// Package clean finds what is wrong with the text of records: duplicates and
// near-duplicates, the wrong length or language, personal data, and text that a
// test holds too. What it finds depends on the text alone; whoever calls it
// decides what becomes of the record.
//
// Nothing here is random: every hash is fixed, so that equal records give equal
// results on every machine.
package clean
