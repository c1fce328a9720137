package token

import (
	"unicode"
	"unicode/utf8"
)

// graphemeClass is the property Grapheme_Cluster_Break (UAX 29).
type graphemeClass uint8

const (
	gOther graphemeClass = iota
	gCR
	gLF
	gControl
	gExtend
	gJoiner
	gFlag
	gPrepend
	gSpacing
	gL
	gV
	gT
	gLV
	gLVT
	gPicture
)

// graphemeEnd returns where the extended grapheme cluster that begins at byte i
// ends. The rule for Indic conjuncts (GB9c) is left out: it joins only what is
// longer than those who ask care for.
func graphemeEnd(s string, i int) int {
	c, n := utf8.DecodeRuneInString(s[i:])
	before := graphemeOf(c)
	flags, picture := 0, before == gPicture
	for i += n; i < len(s); i += n {
		c, n = utf8.DecodeRuneInString(s[i:])
		now := graphemeOf(c)
		if before == gFlag {
			flags++
		}
		joined := before == gJoiner && now == gPicture && picture
		if !joined && breaks(before, now, flags) {
			break
		}
		picture = now == gPicture || picture && (now == gExtend || now == gJoiner)
		before = now
	}
	return i
}

// breaks tells whether there is a border between two characters; flags counts
// the regional indicators up to it.
func breaks(a, b graphemeClass, flags int) bool {
	switch {
	case a == gCR && b == gLF:
		return false
	case a == gCR || a == gLF || a == gControl || b == gCR || b == gLF || b == gControl:
		return true
	case a == gL && (b == gL || b == gV || b == gLV || b == gLVT),
		(a == gLV || a == gV) && (b == gV || b == gT),
		(a == gLVT || a == gT) && b == gT,
		b == gExtend || b == gJoiner || b == gSpacing || a == gPrepend,
		a == gFlag && b == gFlag && flags%2 == 1:
		return false
	}
	return true
}

func graphemeOf(c rune) graphemeClass {
	switch {
	case c < 0x300:
		return graphemeOfLatin(c)
	case c == 0x200D:
		return gJoiner
	case 0x1F1E6 <= c && c <= 0x1F1FF:
		return gFlag
	case 0x1F3FB <= c && c <= 0x1F3FF, unicode.In(c, unicode.Mn, unicode.Me, unicode.Other_Grapheme_Extend):
		return gExtend
	case unicode.Is(unicode.Prepended_Concatenation_Mark, c), unicode.Is(prepended, c):
		return gPrepend
	case unicode.In(c, unicode.Zl, unicode.Zp, unicode.Cf), 0xE0000 <= c && c <= 0xE0FFF, c == 0x2065, 0xFFF0 <= c && c <= 0xFFF8:
		return gControl
	case unicode.Is(unicode.Mc, c) && !unicode.Is(notSpacing, c), c == 0x0E33, c == 0x0EB3:
		return gSpacing
	case unicode.Is(pictures, c):
		return gPicture
	}
	return hangul(c)
}

func graphemeOfLatin(c rune) graphemeClass {
	switch {
	case c == '\r':
		return gCR
	case c == '\n':
		return gLF
	case c < ' ' || 0x7F <= c && c <= 0x9F || c == 0xAD:
		return gControl
	case c == 0xA9 || c == 0xAE:
		return gPicture
	}
	return gOther
}

func hangul(c rune) graphemeClass {
	switch {
	case 0x1100 <= c && c <= 0x115F || 0xA960 <= c && c <= 0xA97C:
		return gL
	case 0x1160 <= c && c <= 0x11A7 || 0xD7B0 <= c && c <= 0xD7C6:
		return gV
	case 0x11A8 <= c && c <= 0x11FF || 0xD7CB <= c && c <= 0xD7FB:
		return gT
	case 0xAC00 <= c && c <= 0xD7A3 && (c-0xAC00)%28 == 0:
		return gLV
	case 0xAC00 <= c && c <= 0xD7A3:
		return gLVT
	}
	return gOther
}

// prepended are the letters of Grapheme_Cluster_Break=Prepend.
var prepended = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x0D4E, Hi: 0x0D4E, Stride: 1}},
	R32: []unicode.Range32{
		{Lo: 0x111C2, Hi: 0x111C3, Stride: 1}, {Lo: 0x1193F, Hi: 0x1193F, Stride: 1}, {Lo: 0x11941, Hi: 0x11941, Stride: 1},
		{Lo: 0x11A3A, Hi: 0x11A3A, Stride: 1}, {Lo: 0x11A84, Hi: 0x11A89, Stride: 1}, {Lo: 0x11D46, Hi: 0x11D46, Stride: 1}, {Lo: 0x11F02, Hi: 0x11F02, Stride: 1},
	},
}

// notSpacing are the spacing marks that do not extend a cluster.
var notSpacing = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x102B, Hi: 0x102C, Stride: 1}, {Lo: 0x1038, Hi: 0x1038, Stride: 1}, {Lo: 0x1062, Hi: 0x1064, Stride: 1}, {Lo: 0x1067, Hi: 0x106D, Stride: 1},
		{Lo: 0x1083, Hi: 0x1083, Stride: 1}, {Lo: 0x1087, Hi: 0x108C, Stride: 1}, {Lo: 0x108F, Hi: 0x108F, Stride: 1}, {Lo: 0x109A, Hi: 0x109C, Stride: 1},
		{Lo: 0x1A61, Hi: 0x1A61, Stride: 1}, {Lo: 0x1A63, Hi: 0x1A64, Stride: 1}, {Lo: 0xAA7B, Hi: 0xAA7B, Stride: 1}, {Lo: 0xAA7D, Hi: 0xAA7D, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0x11720, Hi: 0x11721, Stride: 1}},
}

// pictures is Extended_Pictographic of Unicode 15, Latin-1 aside.
var pictures = tableOf(
	0x203C, 0x203C, 0x2049, 0x2049, 0x2122, 0x2122, 0x2139, 0x2139, 0x2194, 0x2199, 0x21A9, 0x21AA, 0x231A, 0x231B, 0x2328, 0x2328, 0x2388, 0x2388,
	0x23CF, 0x23CF, 0x23E9, 0x23F3, 0x23F8, 0x23FA, 0x24C2, 0x24C2, 0x25AA, 0x25AB, 0x25B6, 0x25B6, 0x25C0, 0x25C0, 0x25FB, 0x25FE, 0x2600, 0x2605,
	0x2607, 0x2612, 0x2614, 0x2685, 0x2690, 0x2705, 0x2708, 0x2712, 0x2714, 0x2714, 0x2716, 0x2716, 0x271D, 0x271D, 0x2721, 0x2721, 0x2728, 0x2728,
	0x2733, 0x2734, 0x2744, 0x2744, 0x2747, 0x2747, 0x274C, 0x274C, 0x274E, 0x274E, 0x2753, 0x2755, 0x2757, 0x2757, 0x2763, 0x2767, 0x2795, 0x2797,
	0x27A1, 0x27A1, 0x27B0, 0x27B0, 0x27BF, 0x27BF, 0x2934, 0x2935, 0x2B05, 0x2B07, 0x2B1B, 0x2B1C, 0x2B50, 0x2B50, 0x2B55, 0x2B55, 0x3030, 0x3030,
	0x303D, 0x303D, 0x3297, 0x3297, 0x3299, 0x3299, 0x1F000, 0x1F0FF, 0x1F10D, 0x1F10F, 0x1F12F, 0x1F12F, 0x1F16C, 0x1F171, 0x1F17E, 0x1F17F,
	0x1F18E, 0x1F18E, 0x1F191, 0x1F19A, 0x1F1AD, 0x1F1E5, 0x1F201, 0x1F20F, 0x1F21A, 0x1F21A, 0x1F22F, 0x1F22F, 0x1F232, 0x1F23A, 0x1F23C, 0x1F23F,
	0x1F249, 0x1F3FA, 0x1F400, 0x1F53D, 0x1F546, 0x1F64F, 0x1F680, 0x1F6FF, 0x1F774, 0x1F77F, 0x1F7D5, 0x1F7FF, 0x1F80C, 0x1F80F, 0x1F848, 0x1F84F,
	0x1F85A, 0x1F85F, 0x1F888, 0x1F88F, 0x1F8AE, 0x1F8FF, 0x1F90C, 0x1F93A, 0x1F93C, 0x1F945, 0x1F947, 0x1FAFF, 0x1FC00, 0x1FFFD,
)

// tableOf makes a table of pairs of bounds.
func tableOf(bounds ...uint32) *unicode.RangeTable {
	t := &unicode.RangeTable{}
	for i := 0; i < len(bounds); i += 2 {
		if lo, hi := bounds[i], bounds[i+1]; hi < 1<<16 {
			t.R16 = append(t.R16, unicode.Range16{Lo: uint16(lo), Hi: uint16(hi), Stride: 1})
		} else {
			t.R32 = append(t.R32, unicode.Range32{Lo: lo, Hi: hi, Stride: 1})
		}
	}
	return t
}
