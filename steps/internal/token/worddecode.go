package token

import (
	"errors"
	"strings"
)

// suffixDecoder makes the mark of a word's end a space, or nothing at the end
// of the text.
type suffixDecoder string

func (suffix suffixDecoder) decode(pieces []string) []string {
	for i, piece := range pieces {
		space := " "
		if i == len(pieces)-1 {
			space = ""
		}
		pieces[i] = strings.ReplaceAll(piece, string(suffix), space)
	}
	return pieces
}

// wordPieceDecoder puts a space in front of pieces that do not go on.
type wordPieceDecoder struct {
	prefix  string
	cleanup bool
}

func (d wordPieceDecoder) decode(pieces []string) []string {
	for i, piece := range pieces {
		if i > 0 {
			if rest, goesOn := strings.CutPrefix(piece, d.prefix); goesOn {
				piece = rest
			} else {
				piece = " " + piece
			}
		}
		if d.cleanup {
			piece = cleanup(piece)
		}
		pieces[i] = piece
	}
	return pieces
}

// cleanup takes out spaces of tokenized English, one rule after another.
func cleanup(s string) string {
	for _, rule := range [][2]string{
		{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"},
		{" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
	} {
		s = strings.ReplaceAll(s, rule[0], rule[1])
	}
	return s
}

// ctcDecoder is that of speech models: a piece said twice is said once.
type ctcDecoder struct {
	pad, delimiter string
	cleanup        bool
}

func (d ctcDecoder) decode(pieces []string) []string {
	var out []string
	for i, piece := range pieces {
		if i > 0 && piece == pieces[i-1] {
			continue
		}
		if d.pad != "" {
			piece = strings.ReplaceAll(piece, d.pad, "")
		}
		if d.cleanup {
			piece = strings.ReplaceAll(cleanup(piece), d.delimiter, " ")
		}
		if piece != "" {
			out = append(out, piece)
		}
	}
	return out
}

// wordDecoder reads BPEDecoder, WordPiece and CTC.
func (c component) wordDecoder() (decoder, error) {
	or := func(s *string, usual string) string {
		if s == nil {
			return usual
		}
		return *s
	}
	switch c.Type {
	case "BPEDecoder":
		suffix := or(c.Suffix, "</w>")
		if suffix == "" {
			return nil, errors.New("the suffix is empty")
		}
		return suffixDecoder(suffix), nil
	case "WordPiece":
		return wordPieceDecoder{or(c.Prefix, "##"), isTrue(c.Cleanup)}, nil
	}
	d := ctcDecoder{or(c.PadToken, "<pad>"), or(c.WordDelimiter, "|"), isTrue(c.Cleanup)}
	if d.delimiter == "" {
		return nil, errors.New("word_delimiter_token is empty")
	}
	return d, nil
}
