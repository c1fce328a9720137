package token

// model turns pretokens into ids. It is immutable and used by many goroutines.
type model interface {
	// encode appends the ids of one pretoken to s.ids and, when s.track, the
	// bytes each came from to s.spans, as scratch.add does. t may be empty.
	encode(s *scratch, t text)
}
