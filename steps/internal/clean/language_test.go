package clean

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pipe-run/pipe/internal/shareddata"
)

func TestTell(t *testing.T) {
	l := NewLanguages()
	for text, want := range map[string]string{
		"The ship was late because of the wind, and nobody at the office knew when it would be there.": "en",
		"Das Schiff kam zu spät, weil der Wind stark war, und niemand wusste, wann es ankommen wird.":  "de",
		"Le bateau est en retard à cause du vent et personne ne sait quand il sera dans le port.":      "fr",
		"El barco llega tarde por el viento y nadie sabe cuándo va a estar en el puerto.":              "es",
		"O navio chegou tarde por causa do vento e ninguém sabe quando ele vai estar no porto.":        "pt",
		"Корабль опоздал из-за ветра, и никто не знал, когда он будет в порту.":                        "ru",
		"Корабель запізнився через вітер, і ніхто не знав, коли він буде в порту.":                     "uk",
		"那条船因为大风晚到了，办公室里没有人知道它什么时候进港。":                                                                 "zh",
		"船は風のために遅れて、いつ着くのか誰も知りませんでした。":                                                                 "ja",
		"배가 바람 때문에 늦었고 아무도 언제 도착할지 몰랐다.":                                                               "ko",
		"12345 +++": "",
	} {
		if got := l.Tell(text); got.Language != want || want != "" && got.Confidence < 0.3 {
			t.Errorf("%q: %+v, want %s", text, got, want)
		}
	}
	for _, code := range Known() {
		if len(code) != 2 {
			t.Errorf("%q is no ISO 639-1 code", code)
		}
	}
}

// TestTortureLanguages tells the paragraphs of a text in many languages.
func TestTortureLanguages(t *testing.T) {
	dir := shareddata.Path(t, "datasets/udhr")
	names := map[string]string{
		"amh": "am", "arb": "ar", "ben": "bn", "cmn_hans": "zh", "cmn_hant": "zh", "deu_1996": "de", "ell_monotonic": "el", "eng": "en",
		"fra": "fr", "heb": "he", "hin": "hi", "jpn": "ja", "kat": "ka", "kor": "ko", "mya": "my", "pes_1": "fa", "por_BR": "pt", "rus": "ru",
		"spa": "es", "swh": "sw", "tam": "ta", "tha": "th", "tur": "tr", "urd": "ur", "vie": "vi",
	}
	paragraph, tag := regexp.MustCompile(`(?s)<p[^>]*>(.*?)</p>`), regexp.MustCompile(`<[^>]*>`)
	l := NewLanguages()
	all, right, wrong := 0, 0, 0
	for file, want := range names {
		data, err := os.ReadFile(filepath.Join(dir, file+".html"))
		if err != nil {
			t.Fatal(err)
		}
		n, good := 0, 0
		for _, m := range paragraph.FindAllStringSubmatch(string(data), -1) {
			text := strings.TrimSpace(html.UnescapeString(tag.ReplaceAllString(m[1], "")))
			if utf8.RuneCountInString(text) < 40 {
				continue
			}
			n++
			switch g := l.Tell(text); {
			case g.Language == want && g.Confidence >= 0.3:
				good++
			case g.Confidence >= 0.3:
				wrong++
			}
		}
		if n < 20 {
			t.Errorf("%s: only %d paragraphs", file, n)
		}
		if 10*good < 8*n {
			t.Errorf("%s: %d of %d paragraphs told", file, good, n)
		}
		all, right = all+n, right+good
	}
	t.Logf("%d paragraphs: %d told, %d wrongly", all, right, wrong)
	if 100*right < 95*all || 200*wrong > all {
		t.Errorf("of %d paragraphs %d were told, %d wrongly", all, right, wrong)
	}
}
