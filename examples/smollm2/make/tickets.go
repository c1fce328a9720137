package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// system is the same in every row: it says what is wanted, so that the model
// has a chance before it is trained.
const system = "As JSON: product, order, kind (refund, repair, exchange, missing), urgent."

var products = []string{
	"kettle", "toaster", "desk lamp", "office chair", "backpack", "headphones", "keyboard", "tent", "bicycle pump", "rain jacket",
	"coffee grinder", "blender", "alarm clock", "bookshelf", "yoga mat", "water bottle", "camera bag", "phone case", "vacuum cleaner", "hair dryer",
	"running shoes", "winter coat", "frying pan", "bread knife", "wall clock", "suitcase", "monitor", "printer", "guitar stand", "electric fan",
	"garden hose", "sleeping bag", "bath towel", "pillow", "mirror", "umbrella", "speaker", "microwave", "ladder", "sofa",
}

// A kind of ticket and how customers ask for it; % stands for the product. No
// sentence but two contains the name of its kind.
type kind struct {
	name string
	says []string
}

var kinds = []kind{
	{"refund", []string{
		"I want my money back for the %.",
		"The % is not what I hoped for, please return what I paid.",
		"I sent the % back last week and still wait for the payment.",
		"You charged me twice for the %.",
		"I cancelled the %, so please pay me back.",
		"I don't want the % any more, how do I get a refund?",
		"The % was cheaper in your shop, give me back the difference.",
		"Please credit my card for the % that I returned.",
	}},
	{"repair", []string{
		"The % stopped working after two days.",
		"My % is broken, can somebody fix it?",
		"The % makes a strange noise since Monday.",
		"A part of the % came loose and I can't mend it.",
		"Can your workshop look at my %? It fails now and then.",
		"The % has a crack, I would like it mended.",
		"Something in the % is stuck, it needs service.",
		"I'd like my % put in order under the warranty.",
	}},
	{"exchange", []string{
		"The % has the wrong colour, I'd rather have it in blue.",
		"You sent me the small %, I need the large one instead.",
		"Can I swap the % for another model?",
		"The % doesn't fit, please send a bigger one.",
		"I picked the wrong %, can I have a different one for it?",
		"I would like to trade the % for the newer version.",
		"The % came in green but I chose black, please change it.",
		"Could you replace the % with one of another size?",
	}},
	{"missing", []string{
		"The % never arrived.",
		"I am still waiting for the %.",
		"The parcel came without the %.",
		"Where is my %? The tracking says nothing.",
		"The box was empty, there was no % in it.",
		"The courier says the % was delivered, but I have nothing.",
		"It has been three weeks and no sign of the %.",
		"Everything came but the %.",
	}},
}

// What customers say about time. Some of the calm sentences use the words of
// the urgent ones.
var (
	urgent = []string{
		"I need this solved today.",
		"Please hurry, I leave tomorrow morning.",
		"This can't wait.",
		"It is for a wedding on Saturday, so be quick.",
		"Answer at once, please.",
		"I need it by tonight.",
		"My shop stands still until this is done.",
		"As soon as possible, please!",
	}
	calm = []string{
		"",
		"No hurry.",
		"Take your time.",
		"It can wait until next month.",
		"Whenever it suits you.",
		"Thank you for your help.",
		"There is no need to be quick.",
		"I am on holiday until June anyway.",
	}
	greetings = []string{"", "", "Hello.", "Hi there,", "Good morning.", "Dear team,"}
	numbers   = []string{"Order %d.", "My order is %d.", "The order number is %d.", "It is order %d.", "(order %d)", "Order no. %d."}
)

// rows is every product with every kind, urgent or calm, once: no ticket
// shares product, kind and urgency with another, nor its order, and no two
// messages are equal but for product and order.
func rows() []row {
	r := rand.New(rand.NewPCG(2, 135))
	seen, orders := map[string]bool{}, map[int]bool{}
	var all []row
	for _, product := range products {
		for _, k := range kinds {
			for _, now := range []bool{true, false} {
				order := 10000 + r.IntN(90000)
				for orders[order] {
					order = 10000 + r.IntN(90000)
				}
				orders[order] = true
				words := message(r, k, now)
				for seen[words] {
					words = message(r, k, now)
				}
				seen[words] = true
				said := strings.NewReplacer("%", product, "#", fmt.Sprint(order)).Replace(words)
				ticket := fmt.Sprintf(`{"product":"%s","order":%d,"kind":"%s","urgent":%t}`, product, order, k.name, now)
				all = append(all, row{system, said, ticket})
			}
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// message puts sentences together, with % for the product and # for the order.
func message(r *rand.Rand, k kind, now bool) string {
	time := calm
	if now {
		time = urgent
	}
	number := strings.Replace(pick(r, numbers), "%d", "#", 1)
	parts := []string{pick(r, greetings)}
	switch r.IntN(3) {
	case 0:
		parts = append(parts, pick(r, k.says), number, pick(r, time))
	case 1:
		parts = append(parts, number, pick(r, k.says), pick(r, time))
	case 2:
		parts = append(parts, pick(r, time), pick(r, k.says), number)
	}
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }
