package charset

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
)

// texts are a sentence or two of each language, and how they are encoded.
var texts = []struct {
	name    Name
	encoder encoding.Encoding
	text    string
}{
	{GB18030, simplifiedchinese.GBK, "question,answer\n这个产品怎么退货?,您好,请在订单页面点击退货,我们会在三天之内处理您的申请。\n"},
	{GB18030, simplifiedchinese.GB18030, "今天的天气很好,我们一起去公园走走吧。\n你知道这是什么意思吗?"},
	{Big5, traditionalchinese.Big5, "question,answer\n這個產品怎麼退貨?,您好,請在訂單頁面點擊退貨,我們會在三天之內處理您的申請。\n"},
	{ShiftJIS, japanese.ShiftJIS, "質問,答え\nこの商品はどうやって返品できますか,ご注文のページから返品の手続きをしてください。\n"},
	{EUCKR, korean.EUCKR, "질문,대답\n이 상품은 어떻게 반품하나요,주문 페이지에서 반품을 신청하시면 사흘 안에 처리해 드립니다.\n"},
	{Windows1252, charmap.Windows1252, "Frage;Antwort\nWie kann ich das zurückschicken?;Öffnen Sie die Übersicht der Aufträge und wählen Sie „zurück“. Größe für über.\n"},
	{Windows1252, charmap.Windows1252, "question;réponse\nComment renvoyer un article déjà reçu ?;Allez à la page « commandes », là où l’état est affiché, même après la fête.\n"},
	{UTF16LE, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "a,b\nüber,这个\n"},
	{UTF16BE, unicode.UTF16(unicode.BigEndian, unicode.UseBOM), "a,b\nüber,这个\n"},
	{UTF16LE, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "question,answer\nwhat is it,no idea\n"},
	{UTF16BE, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), "question,answer\nwhat is it,no idea\n"},
}

func TestDetectAndDecode(t *testing.T) {
	for _, c := range texts {
		b, err := c.encoder.NewEncoder().String(c.text)
		if err != nil {
			t.Fatal(err)
		}
		guess, err := Detect([]byte(b))
		if err != nil || !guess.Sure || guess.Name != c.name {
			t.Errorf("%q: %+v, %v, want %s", c.text, guess, err, c.name)
		}
		for _, r := range []io.Reader{strings.NewReader(b), iotest.OneByteReader(strings.NewReader(b))} {
			got, err := io.ReadAll(NewReader(r, c.name))
			if err != nil || strings.TrimPrefix(string(got), "\ufeff") != c.text {
				t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.text)
			}
		}
	}
}

// TestDoubtIsSaid: too little, nothing known, or two encodings alike.
func TestDoubtIsSaid(t *testing.T) {
	for _, text := range []string{"\xff", "a\xe4b", "\xb0\xa1\xb0\xa2\xb0\xa3\xb0\xa4\xb0\xa5\xb0\xa6\xb0\xa7", strings.Repeat("\x80\xff\x01", 50)} {
		if guess, err := Detect([]byte(text)); err != nil || guess.Sure {
			t.Errorf("%q: %+v, %v", text, guess, err)
		}
	}
	mixed := strings.Repeat("schön und größer\n", 20) + "sch\xf6n\n"
	if guess, err := Detect([]byte(mixed)); err != nil || guess.Name != UTF8 || !guess.Sure {
		t.Errorf("UTF-8 with one damaged byte: %+v, %v", guess, err)
	}
	if _, err := Detect([]byte("\xff\xfe\x00\x00a\x00\x00\x00")); err == nil {
		t.Error("UTF-32 is not refused")
	}
}

func TestBadBytesHaveTheirPlace(t *testing.T) {
	for _, c := range []struct {
		name Name
		text string
		at   int64
		want string // before it
	}{
		{GB18030, "ab\xc4\xe3\xff\xffcd", 4, "ab你"},
		{GB18030, "ok\x84\x31\xa4\x37", -1, "ok\ufffd"},
		{GB18030, "\xc4\xe3\xc4", 2, "你"},
		{Big5, "a\xa7\x41\xff", 3, "a你"},
		{ShiftJIS, "\x82\xa0\x82", 2, "あ"},
		{UTF16LE, "a\x00\x00\xd8b\x00", 2, "a"},
		{UTF16LE, "a\x00b", 2, "a"},
		{Windows1252, "\xe9\x81", 1, "é"},
		{Latin1, "\xe9\x81", -1, "é\u0081"},
	} {
		pad := strings.Repeat("ab", chunk/2) // the bad byte stands in the second chunk
		for _, before := range []string{"", pad} {
			wide := before
			if c.name == UTF16LE {
				wide = strings.ReplaceAll(strings.ReplaceAll(before, "a", "a\x00"), "b", "b\x00")
			}
			got, err := io.ReadAll(NewReader(strings.NewReader(wide+c.text), c.name))
			var bad *Error
			if errors.As(err, &bad); (c.at < 0) != (err == nil) || err != nil && (bad == nil || bad.Offset != c.at+int64(len(wide))) {
				t.Errorf("%s %q: %v, want an error at byte %d", c.name, c.text, err, c.at)
			}
			if string(got) != before+c.want {
				t.Errorf("%s %q: %d bytes, want %d: %.60q", c.name, c.text, len(got), len(before)+len(c.want), bytes.TrimPrefix(got, []byte(before)))
			}
		}
	}
}

func TestParse(t *testing.T) {
	for s, want := range map[string]Name{"GBK": GB18030, "UTF-8": UTF8, "Shift_JIS": ShiftJIS, "cp949": EUCKR, "latin1": Latin1} {
		if got, err := Parse(s); got != want || err != nil {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	if _, err := Parse("ebcdic"); err == nil {
		t.Error("an unknown encoding was accepted")
	}
}

func FuzzReader(f *testing.F) {
	for i, c := range texts {
		b, err := c.encoder.NewEncoder().String(c.text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(b), uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		name := Names()[int(which)%len(Names())]
		whole, err := io.ReadAll(NewReader(bytes.NewReader(data), name))
		parts, err2 := io.ReadAll(NewReader(iotest.OneByteReader(bytes.NewReader(data)), name))
		if (err == nil) != (err2 == nil) || !bytes.Equal(whole, parts) {
			t.Fatalf("%s: %q, %v; byte by byte %q, %v", name, whole, err, parts, err2)
		}
		if _, err := Detect(data); err != nil && !errors.Is(err, errUTF32) {
			t.Fatal(err)
		}
	})
}
