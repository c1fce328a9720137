package charset

import (
	"bytes"
	"unicode/utf8"
)

// SampleBytes is how much of a text decides about its encoding.
const SampleBytes = 1 << 20

// A Guess is what Detect found.
type Guess struct {
	Name  Name
	Sure  bool    // Name may be relied on
	Share float64 // of the characters beyond ASCII that are frequent in texts of that encoding
	Marks int     // bytes of a byte order mark
}

// Thresholds of Detect: how much of the characters beyond ASCII must be
// frequent ones, how many times less the second-best encoding may have, and how
// many characters must have been seen.
const (
	leastShare      = 0.30
	leastLead       = 2.5
	leastCharacters = 6
)

// Detect tells the encoding of a text from its beginning: a byte order mark,
// else UTF-8 if the sample is that, else the encoding in which most characters
// are ones that its languages use often. A sample in which damaged UTF-8 is
// mixed with sound one is UTF-8. When nothing stands out, Sure is false and
// Name the nearest, "" if there is none.
func Detect(sample []byte) (Guess, error) {
	name, n, err := Mark(sample)
	if err != nil {
		return Guess{}, err
	}
	if name != "" {
		return Guess{Name: name, Sure: true, Share: 1, Marks: n}, nil
	}
	if wide := wideText(sample); wide != "" {
		return Guess{Name: wide, Sure: true, Share: 1}, nil
	}
	if validStart(sample) == len(sample) {
		return Guess{Name: UTF8, Sure: true, Share: 1}, nil
	}
	if sound, damaged := sequences(sample); sound > 4*damaged {
		return Guess{Name: UTF8, Sure: true, Share: float64(sound) / float64(sound+damaged)}, nil
	}
	return byFrequency(sample), nil
}

// wideText recognises UTF-16 without a mark by its zero bytes: nearly every
// other byte of text with ASCII in it.
func wideText(b []byte) Name {
	b = b[:min(len(b), 4096)&^1]
	if len(b) < 8 {
		return ""
	}
	var zeros [2]int
	for i, c := range b {
		if c == 0 {
			zeros[i&1]++
		}
	}
	switch half := len(b) / 2; {
	case zeros[1] > half*2/5 && zeros[0]*20 < zeros[1]:
		return UTF16LE
	case zeros[0] > half*2/5 && zeros[1]*20 < zeros[0]:
		return UTF16BE
	}
	return ""
}

// sequences counts the characters of several bytes that are UTF-8, and the
// bytes that are not.
func sequences(b []byte) (sound, damaged int) {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			damaged++
		} else {
			sound++
		}
		i += size
	}
	return sound, damaged
}

func byFrequency(sample []byte) Guess {
	best, second := Guess{}, 0.0
	most := 0
	for _, c := range []struct {
		name  Name
		count func([]byte) (often, all int)
	}{
		{GB18030, multibyte(GB18030, among(marks+frequentSimplified))},
		{Big5, multibyte(Big5, among(marks+frequentTraditional))},
		{ShiftJIS, multibyte(ShiftJIS, kana)},
		{EUCKR, multibyte(EUCKR, among(frequentHangul))},
		{Windows1252, western},
	} {
		often, all := c.count(sample)
		if all == 0 {
			continue
		}
		share := float64(often) / float64(all)
		if share > best.Share {
			second = best.Share
			best = Guess{Name: c.name, Share: share}
			most = all
		} else {
			second = max(second, share)
		}
	}
	best.Sure = best.Share >= leastShare && best.Share >= leastLead*second && most >= leastCharacters
	return best
}

// multibyte counts characters beyond ASCII after strict decoding: frequent ones
// and all of them; none when the text cannot be decoded.
func multibyte(name Name, frequent func(rune) bool) func([]byte) (int, int) {
	return func(sample []byte) (often, all int) {
		text, err := decodeSample(sample, name)
		if err != nil {
			return 0, 0
		}
		for _, r := range text {
			if r < utf8.RuneSelf {
				continue
			}
			all++
			if frequent(r) {
				often++
			}
		}
		return often, all
	}
}

// decodeSample decodes a sample, whose last character may be cut.
func decodeSample(sample []byte, name Name) (string, error) {
	var err error
	for cut := range min(4, len(sample)) {
		var b bytes.Buffer
		if _, err = b.ReadFrom(NewReader(bytes.NewReader(sample[:len(sample)-cut]), name)); err == nil {
			return b.String(), nil
		}
		if len(sample) < SampleBytes {
			break
		}
	}
	return "", err
}

// western counts bytes beyond ASCII: those that are letters of Western
// languages within or after a word of ASCII, or its typographic marks.
func western(b []byte) (often, all int) {
	for i, c := range b {
		if c < 0x80 {
			continue
		}
		all++
		lone := (i == 0 || b[i-1] < 0x80) && (i+1 == len(b) || b[i+1] < 0x80)
		switch {
		case c == 0x81 || c == 0x8d || c == 0x8f || c == 0x90 || c == 0x9d:
			return 0, 0
		case !lone:
		case c >= 0xc0 && c != 0xd7 && c != 0xf7:
			if i > 0 && letter(b[i-1]) || i+1 < len(b) && letter(b[i+1]) {
				often++
			}
		case c >= 0x91 && c <= 0x97, c == 0x80, c == 0x85, c == 0xa0, c == 0xa3, c == 0xa7, c == 0xa9, c == 0xab, c == 0xb0, c == 0xbb, c == 0xbf, c == 0xa1:
			often++
		}
	}
	return often, all
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func kana(r rune) bool {
	return r >= 0x3041 && r <= 0x30ff || r == '、' || r == '。' || r == '「' || r == '」'
}

// among returns the test for characters of s.
func among(s string) func(rune) bool {
	set := map[rune]bool{}
	for _, r := range s {
		set[r] = true
	}
	return func(r rune) bool { return set[r] }
}

const marks = "，。、！？：；（）《》“”　"

// The characters used most, in no order: about two thirds of running text.
const (
	frequentSimplified = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运"

	frequentTraditional = "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種事成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把機十民第公此已工使情明性知全三又關點正業外將兩高間由問很最重並物手應戰向頭文體政美相見被利什二等產或新己制身果加西斯月話合回特代內信表化老給世位次度門任常先海通教兒原東聲提立及比員解水名真論處走義各入幾口認條平系氣題活爾更別打女變四神總何電數安少報才結反受目太量再感建務做接必場件計管期市直德資命山金指克許統區保至隊形社便空決治展馬科司五基眼書非則聽白卻界達光放強即像難且權思王象完設式色路記南品住告類求據程北邊死張該交規萬取拉格望覺術領共確傳師觀清今切院讓識候帶導爭運"

	frequentHangul = "이다는을의에가고하한지도로자사기서은있를어리그나들것인시아수일대정게해라면보여제만부과전연구상않없주장성공학문소관물원국생동스우비방조신안화경무요용내려때개회모오업체발위할와적으며까말또더년월중명천선실마습니입등했된되든였던같"
)
