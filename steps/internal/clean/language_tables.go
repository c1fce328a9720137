package clean

import "unicode"

// scripts are those that one language is told by. Where others are written in
// them too, the one with the most speakers stands for all.
var scripts = []struct {
	language string
	tables   []*unicode.RangeTable
}{
	{"zh", []*unicode.RangeTable{unicode.Han}},
	{"ja", []*unicode.RangeTable{unicode.Hiragana, unicode.Katakana}},
	{"ko", []*unicode.RangeTable{unicode.Hangul}},
	{"th", []*unicode.RangeTable{unicode.Thai}},
	{"lo", []*unicode.RangeTable{unicode.Lao}},
	{"km", []*unicode.RangeTable{unicode.Khmer}},
	{"my", []*unicode.RangeTable{unicode.Myanmar}},
	{"el", []*unicode.RangeTable{unicode.Greek}},
	{"he", []*unicode.RangeTable{unicode.Hebrew}},
	{"hi", []*unicode.RangeTable{unicode.Devanagari}},
	{"bn", []*unicode.RangeTable{unicode.Bengali}},
	{"ta", []*unicode.RangeTable{unicode.Tamil}},
	{"te", []*unicode.RangeTable{unicode.Telugu}},
	{"kn", []*unicode.RangeTable{unicode.Kannada}},
	{"ml", []*unicode.RangeTable{unicode.Malayalam}},
	{"gu", []*unicode.RangeTable{unicode.Gujarati}},
	{"pa", []*unicode.RangeTable{unicode.Gurmukhi}},
	{"si", []*unicode.RangeTable{unicode.Sinhala}},
	{"ka", []*unicode.RangeTable{unicode.Georgian}},
	{"hy", []*unicode.RangeTable{unicode.Armenian}},
	{"am", []*unicode.RangeTable{unicode.Ethiopic}},
	{"bo", []*unicode.RangeTable{unicode.Tibetan}},
	{"mn", []*unicode.RangeTable{unicode.Mongolian}},
}

// Places in scripts.
const (
	scriptHan  = 0
	scriptKana = 1
)

// shared are the scripts of several languages, in the order of common's numbers.
var shared = []*unicode.RangeTable{unicode.Latin, unicode.Cyrillic, unicode.Arabic}

const (
	latin = iota
	cyrillic
	arabic
)

// common are the commonest words of languages that share a script, and the
// letters that not all languages of the script have.
var common = []struct {
	language string
	script   int
	words    string
	letters  string
}{
	{"en", latin, "the of and to in is that it was for on are as with his they at be this have from or had by but not what all were we when your can said there an which their if will how about out them then many some so these would other into has more two like him see could no than been who now my over did only find may after our most before just where much through any well should because each same such very also must upon shall without own under does between those being us her she he", ""},
	{"de", latin, "der die das und ist in zu den mit von nicht ein eine einen einem einer eines auf für im dem des sich als auch es an werden aus er hat dass sie nach wird bei wir oder um am sind noch wie einen über so zum kann haben nur aber vor zur bis mehr durch man sein wurde wenn seine unter war ihr ihre jeder kein keine ich du uns alle gegen recht muss soll was hier", "äöüß"},
	{"fr", latin, "le la les de des du un une et est en que qui dans pour pas sur au aux par plus avec ce cette ces il elle ils elles on ne se sont sa son ses leur leurs nous vous mais ou où comme tout toute tous toutes être avoir été fait sans peut entre même aussi bien si très sous dont je tu lui y droit toutefois ainsi chaque personne ni a", "éèêàçùœîôû"},
	{"es", latin, "el la los las de del un una unos y es en que por para con no se su sus al lo como más pero sus le ha o este esta sí porque entre cuando muy sin sobre también me hasta hay donde quien desde todo toda todos todas nos durante ni contra otros ese eso ante ellos esto antes algunos ser son está fue era tiene derecho persona yo tú qué", "ñáéíóúü¿¡"},
	{"pt", latin, "o a os as de do da dos das um uma e é em no na nos nas que por para com não se seu sua seus suas ao à como mais mas foi ele ela eles tem ou ser quando muito há já está eu também só pelo pela até isso entre era depois sem mesmo aos ter são você todo toda todos todas qualquer direito pessoa sobre este esta isto", "ãõâêôçáéíóúà"},
	{"it", latin, "il lo la i gli le di del della dei delle dello degli da dal dalla un uno una e è in nel nella nei che per con non si su sul sulla al alla ai alle come più ma anche sono ha suo sua suoi sue questo questa questi ed o se ogni tutto tutti tutte essere stato hanno può dalle dai quando dove chi io mi ci perché fra tra individuo diritto", "àèéìòù"},
	{"nl", latin, "de het een en van in is dat op te zijn met voor niet aan er om ook als bij door naar uit maar ze zij hij haar heeft werd worden wordt deze die dit over dan of tot was kan nog wat hun ik je geen al meer men tegen onder zo moet zal u wij ons onze zonder heb hebben ieder een recht waar wie hem", "ëï"},
	{"sv", latin, "och att det som en på är av för med den till inte har de ett om var jag men så i han från vi vid kan när eller ut skall ska hade sig sina sin mot efter över alla under också utan vara man där mycket än då bli genom här hans hon varje rätt envar blir detta dessa", "åäö"},
	{"da", latin, "og at det er en til af på som med for den de ikke der et har om men i sig han fra var ved vi kan jeg så eller skal havde efter sin sine over hans alle også ud blev være hun dem denne dette nogen uden enhver ret mod meget bliver når man hvor her noget mig", "åæø"},
	{"no", latin, "og i det er en til av på som med for den de ikke har et om men seg han fra var ved vi kan jeg så eller skal hadde etter sin sine over også ut ble være hun dem denne dette noen uten enhver rett mot meget mye blir når man hvor her noe meg etter fra bare", "åæø"},
	{"fi", latin, "ja on ei se että oli hän joka ovat mutta kun niin tai myös jos ole sen olla kuin vain mitä tämä nyt sitä tässä jotka he minä sinä me te kaikki mukaan kanssa ennen sekä siitä jokaisella oikeus oikeutta ilman hänen heidän tulee voi voidaan olisi ollut sekä niiden", "äö"},
	{"pl", latin, "i w na z się nie do to że jest o jak a po co tak za od jego ale przez ma być może dla są przy tym tego lub oraz ich czy już był było która który które także bez tylko pod ze jej każdy człowiek prawo każda wszystkich ani jako gdy nad ten ta mnie", "ąćęłńóśźż"},
	{"cs", latin, "a v na se je že s z do to o i k ve pro za by jako jsou byl jeho ale podle po od má nebo být bylo aby který která které při však tak také jak před jen již které ze své své každý právo má nikdo tento této nesmí co už mezi bez když jsem", "áčďéěíňóřšťúůýž"},
	{"sk", latin, "a v na sa je že s z do to o i k vo pre za by ako sú bol jeho ale podľa po od má alebo byť bolo aby ktorý ktorá ktoré pri však tak tiež pred len už svoje každý právo nikto tento tejto nesmie čo medzi bez keď som", "áäčďéíľĺňóôŕšťúýž"},
	{"hu", latin, "a az és hogy nem is egy van ez meg de csak volt már ki azt mint el még vagy be ha minden kell lehet fel mert itt kell nagyon azok ezt akkor majd más joga jog személy nélkül által között után ember való sem valamint őt ő én te mi ti ők", "áéíóöőúüű"},
	{"ro", latin, "și de la a în cu pe nu este un o care să din că se mai pentru ce sunt au prin sau ale al lui ca fi fost dar dacă fără orice dreptul persoană are ar acest această între după până când el ea ei lor toate tot oricărei către astfel precum", "ăâîșțşţ"},
	{"tr", latin, "ve bir bu da de için ile olarak çok olan daha gibi her kadar veya ne o en ya var ki ama onun sonra değil mi ise tarafından bütün hakkı hakkına herkes herkesin hiç kimse şahsın olduğu göre içinde ben sen biz siz onlar şey diye olup eder haiz edilir", "çğıöşü"},
	{"vi", latin, "và của là có được cho các không một những người trong với để này đã khi ra về như từ đến hay cũng mọi phải vào theo nhiều quyền tại trên sẽ bị do nếu đó thì lại ai đều nào hoặc bất cứ tôi anh chị", "ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"},
	{"id", latin, "yang dan di dari untuk dengan pada tidak ini itu dalam adalah atau akan oleh sebagai juga ke karena orang bisa ada saya tahun mereka lebih telah sudah setiap hak atas dapat secara kami kita dia anda seperti harus saat para bagi serta tersebut antara hanya", ""},
	{"sw", latin, "na ya wa kwa ni za katika la kila cha mtu haki au hii huo hiyo hayo wake yake kama vile si ana kuwa watu bila pia lakini yote zake wote huyu hizi wala lazima mwenye ambaye ambayo kutoka hata baada kati nchi mimi wewe sisi yeye anayo ili zote vya", ""},
	{"ca", latin, "el la els les de del dels un una i és en que per amb no es seu seva seus seves al als com més però ha o aquest aquesta perquè entre quan sense sobre també fins hi tot tota tots totes ni dret persona ser són està fou té jo què molt on", "àçèéíïóòúü"},
	{"hr", latin, "i u na je se da su za od s o koji koja koje ne a kao po iz to ili bi te što ali biti svatko ima pravo sve svoje nije samo bio bila bilo prema kako nitko treba biti ovo taj ta ako između bez kada sam", "čćđšž"},
	{"et", latin, "ja on ei et see oli ta kui mis oma ka või aga kes nii selle siis ning igal inimesel õigus kõik tema nende välja ole üks pole veel mida seda olema tuleb peab ilma mina sina meie teie nad", "äõöü"},
	{"lt", latin, "ir yra kad į su iš ne tai kaip jo o bet už ar arba jis ji buvo būti kiekvienas žmogus turi teisę teisė visi prie per nuo tik jų taip pat gali būtų savo šis ši be aš tu mes jūs kurie kuris", "ąčęėįšųūž"},
	{"lv", latin, "un ir ka no uz par ar kas tas bija kā viņš viņa lai vai bet ne šī šis pie arī ikvienam cilvēkam tiesības jebkurš tikai savu pēc ja tā var nav būt bez līdz visi es tu mēs jūs viņi kura kurš", "āčēģīķļņšūž"},
	{"tl", latin, "ang ng sa na at mga ay ito ako ka siya niya kanyang may hindi para ni kay bawat tao karapatan o kung pag din rin lamang lahat nang mula sila tayo kami ko mo dapat walang isang alinman maging", ""},
	{"ru", cyrillic, "и в не на что я он с как это по но к у из за то все она так его а от же о для бы или мы ты вы они был была было быть если только уже ещё чтобы который которые каждый человек имеет право без при до их может должен этого нет когда где даже во со под", "ыэъё"},
	{"uk", cyrillic, "і в не на що я він з як це по але до у за та й все вона так його від же про для би або ми ти ви вони був була було бути якщо тільки вже ще щоб який які кожна людина має право без при їх може повинен цього немає коли де навіть під", "іїєґ"},
	{"bg", cyrillic, "и в не на че аз той с как това по но към от за се да са си ще е или ние ти вие те беше бил била било ако само вече още който които всеки човек има право без при до им може трябва този няма когато къде дори под със", "ъ"},
	{"sr", cyrillic, "и у не на да је се су за од с о који која које а као по из то или би што али бити свако има право све своје није само био била било према како нико треба ово тај та ако између без када сам", "ђјљњћџ"},
	{"ar", arabic, "في من على إلى أن عن مع هذا هذه التي الذي ما لا كان كل أو لم قد بين ذلك بعد عند كما له لها أي غير حق الحق شخص لكل أنه وقد حتى ولا وهو وفي إن هو هي هم نحن كانت ثم حيث لأن", "ةىأإ"},
	{"fa", arabic, "و در به از که این را با است برای آن یک خود تا بر هم نیز شود می باشد هر کس حق دارد یا ها های او شده بود کرد اما اگر همه باید نمی چه ما شما آنها پس بین بدون دیگر کند کنند دارند بوده", "پچژگکی"},
	{"ur", arabic, "کے کی میں ہے اور سے کا کو پر یہ نے ہیں کہ اس کر بھی ہر شخص حق جو نہیں تو یا ان کیا اپنے اپنی لئے لیے ہو گا گی ایک تک تھا تھی وہ ہم آپ جائے کسی بغیر سب دوسرے جس ہوئے حاصل", "پچگکیٹڈڑےہھں"},
}
